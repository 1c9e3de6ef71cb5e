/** Runs the command line inside the process of the test. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { commands } from "../../src/cli/all-commands.ts";
import type { Dependencies } from "../../src/cli/command.ts";
import { dispatch } from "../../src/cli/dispatch.ts";
import type { Io } from "../../src/cli/process/io.ts";

/** A secret that counts as strong. */
export const secret = "k3yF0rTe5ts-0nly-q8Zr2Vw6Xn4Bm1Lc";

/** A running command line. */
export interface Running {
  /** The exit code. */
  readonly code: Promise<number>;
  /** The text written to stdout so far. */
  stdout(): string;
  /** The text written to stderr so far. */
  stderr(): string;
  /** Sends a signal. Returns false when there is no listener, so that a real signal would end the process. */
  signal(): boolean;
  /** Sends SIGHUP. Returns false when there is no listener. */
  hangUp(): boolean;
}

/** Starts a command line. It sees only the given environment, not that of the test. */
export function start(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
  deps: Partial<Dependencies> = {},
  tty = false,
  input: AsyncIterable<Uint8Array> = (async function* () {})(),
): Running {
  const written = { stdout: "", stderr: "" };
  const listeners = new Set<() => void>();
  const reloads = new Set<() => void>();
  const output = (name: keyof typeof written) => ({ isTTY: tty, write: (text: string) => (written[name] += text) });
  const io: Io = {
    stdout: output("stdout"),
    stderr: output("stderr"),
    input: () => input,
    onSignal(call) {
      listeners.add(call);
      return () => listeners.delete(call);
    },
    openSocket: () => undefined,
    onReload(call) {
      reloads.add(call);
      return () => reloads.delete(call);
    },
  };
  return {
    code: dispatch(argv, env, io, { ...unused, ...deps }, async () => commands),
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    signal() {
      const handled = listeners.size > 0;
      for (const call of [...listeners]) call();
      return handled;
    },
    hangUp() {
      const handled = reloads.size > 0;
      for (const call of [...reloads]) call();
      return handled;
    },
  };
}

/** Runs a command line until it ends. */
export async function run(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
  deps: Partial<Dependencies> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const running = start(argv, env, deps);
  const code = await running.code;
  return { code, stdout: running.stdout(), stderr: running.stderr() };
}

/** Dependencies that fail when a test uses them without replacing them. */
const unused: Dependencies = {
  version: "1.2.3",
  createTidings: () => Promise.reject(new Error("this test must not start a server")),
  createLogger: async () => pino({ level: "silent" }),
  demoPage: async () => () => false,
  startWorker: () => {
    throw new Error("this test must not start a worker");
  },
  threads: () => 1,
  canReusePort: async () => true,
  createThreads: () => Promise.reject(new Error("this test must not start threads")),
  limitSemiSpace: () => {},
  runShell: () => Promise.reject(new Error("this test must not run commands")),
  after: () => () => {},
  now: () => Date.parse("2026-11-03T10:00:00Z"),
};

/** A temporary folder, removed after the test. */
export class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "tidings-cli-"));

  /** Writes a file into the folder and returns its path. */
  file(name: string, content: string): string {
    const path = join(this.path, name);
    writeFileSync(path, content);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
