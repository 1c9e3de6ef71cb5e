import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findTool } from "./tools.ts";

/** Makes a process read a wrong time; its monotonic clock goes on. */
export const faketime = findTool("faketime", "apt-get install faketime");

const architecture = process.arch === "arm64" ? "aarch64" : "x86_64";
const library = `/usr/lib/${architecture}-linux-gnu/faketime/libfaketime.so.1`;

/** The clock of processes, which is right at first and can be set. */
export class WrongClock {
  readonly #folder = mkdtempSync(join(tmpdir(), "tidings-clock-"));
  readonly #file = join(this.#folder, "offset");

  constructor() {
    this.set(0);
  }

  /** The environment of a process that goes by this clock. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
  }

  /** Sets the clock ahead of the right time by some seconds, or behind it. Takes effect with the next reading. */
  set(seconds: number): void {
    // In one step: a process may read the file at any time.
    const next = `${this.#file}.next`;
    writeFileSync(next, `${seconds < 0 ? "" : "+"}${Math.round(seconds)}\n`);
    renameSync(next, this.#file);
  }

  /** Removes its file. The processes have ended. */
  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
