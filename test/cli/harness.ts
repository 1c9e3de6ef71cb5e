/** Runs the command line inside the test's process. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { Dependencies } from "../../src/cli/commands/command.ts";
import type { Io } from "../../src/cli/process/io.ts";
import { main } from "../../src/cli/run.ts";

/** A secret that is good enough. */
export const secret = "k3yF0rTe5ts-0nly-q8Zr2Vw6Xn4Bm1Lc";

/** A command line that runs. */
export interface Running {
  readonly code: Promise<number>;
  stdout(): string;
  stderr(): string;
  /** Sends a signal; false if nobody listens for it, so that it would end the process. */
  signal(): boolean;
}

/** Starts a command line; nothing of the test's own environment reaches it. */
export function start(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
  deps: Partial<Dependencies> = {},
  tty = false,
): Running {
  const written = { stdout: "", stderr: "" };
  const listeners = new Set<() => void>();
  const output = (name: keyof typeof written) => ({ isTTY: tty, write: (text: string) => (written[name] += text) });
  const io: Io = {
    stdout: output("stdout"),
    stderr: output("stderr"),
    onSignal(call) {
      listeners.add(call);
      return () => listeners.delete(call);
    },
  };
  return {
    code: main(argv, env, io, { ...unused, ...deps }),
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    signal() {
      const heard = listeners.size > 0;
      for (const call of [...listeners]) call();
      return heard;
    },
  };
}

/** Runs a command line to its end. */
export async function run(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
  deps: Partial<Dependencies> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const running = start(argv, env, deps);
  const code = await running.code;
  return { code, stdout: running.stdout(), stderr: running.stderr() };
}

const unused: Dependencies = {
  version: "1.2.3",
  createTidings: () => Promise.reject(new Error("this test starts no server")),
  createLogger: async () => pino({ level: "silent" }),
  demoPage: async () => () => false,
  startWorker: () => {
    throw new Error("this test starts no worker");
  },
  after: () => () => {},
  now: () => Date.parse("2026-11-03T10:00:00Z"),
};

/** A folder that is gone after the test. */
export class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "tidings-cli-"));

  /** Writes a file into it and answers its path. */
  file(name: string, content: string): string {
    const path = join(this.path, name);
    writeFileSync(path, content);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
