import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "./program.ts";

let built: { readonly program: string | undefined } | undefined;

/**
 * Compiles the write loop in C, once. Returns the path of the program, which is removed when this process ends; undefined
 * where there is no C compiler, or where it cannot be compiled (it needs Linux).
 */
export function buildWriteLoop(): string | undefined {
  built ??= { program: build() };
  return built.program;
}

function build(): string | undefined {
  const compiler = findProgram("cc");
  if (compiler === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "tidings-bench-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const program = join(folder, "write-loop");
  try {
    execFileSync(compiler, ["-O2", "-o", program, join(import.meta.dirname, "process/write-loop.c")], {
      stdio: "ignore",
    });
    return program;
  } catch {
    return undefined;
  }
}
