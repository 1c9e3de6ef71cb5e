/** The program `tidings`: runs the command line of this process. */
import cluster from "node:cluster";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Dependencies, LoadCommands } from "./command.ts";
import { serve } from "./commands/serve.ts";
import { dispatch } from "./dispatch.ts";
import { startWorker, workerIo } from "./process/cluster.ts";
import type { Io } from "./process/io.ts";
import { limitSemiSpace } from "./process/semi-space.ts";
import { canReusePort, defaultThreads } from "./process/share-port.ts";
import { runShell } from "./process/shell.ts";
import { socketFromSystemd } from "./process/systemd.ts";

const io: Io = {
  stdout: process.stdout,
  stderr: process.stderr,
  input: () => process.stdin,
  onSignal(call) {
    const signals = ["SIGINT", "SIGTERM"] as const;
    for (const signal of signals) process.on(signal, call);
    return () => {
      for (const signal of signals) process.off(signal, call);
    };
  },
  onReload(call) {
    process.on("SIGHUP", call);
    return () => process.off("SIGHUP", call);
  },
  // The variables name the first process; the descriptors that its workers ask it for are its own.
  openSocket: () => socketFromSystemd(process.env, cluster.isWorker ? process.ppid : process.pid),
  ...workerIo(),
};

/** The server, the logger and the demo page are loaded only by the commands that use them. */
const deps: Dependencies = {
  version: readVersion(),
  createTidings: async (options) => (await import("../server.ts")).createTidings(options),
  createLogger: async (level, redact) => (await import("./output/logger.ts")).createLogger(level, redact),
  startWorker,
  threads: defaultThreads,
  canReusePort,
  createThreads: async (...given) => new (await import("./process/threads.ts")).Threads(...given),
  limitSemiSpace: (megabytes) => limitSemiSpace(megabytes, process),
  demoPage: async (secret) => (await import("./dev/demo-page.ts")).demoPage(secret),
  runShell,
  now: () => Date.now(),
  after: (milliseconds, call) => {
    const timeout = setTimeout(call, milliseconds);
    return () => clearTimeout(timeout);
  },
};

/** package.json is two folders above the sources, and three above the files of the built package. */
function readVersion(): string {
  const candidates = ["../../package.json", "../../../package.json"].map((path) => join(import.meta.dirname, path));
  const path = candidates.find((candidate) => existsSync(candidate));
  return path === undefined ? "unknown" : (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}

// In `tidings tail | head -1` the reader closes the pipe, which is no error; it is one for `publish`, which leaves lines out.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE" && process.argv[2] !== "publish") process.exit(0);
  // Such as a full disk, which would otherwise end the process without a word.
  process.stderr.write(`error: cannot write to stdout: ${error.code}\n`, () => process.exit(1));
});

/** Loads alone what has to start fast: `serve`, and what a shell waits for; the other commands, which are clients, take longer. */
const load: LoadCommands = async (name) => {
  if (name === "serve") return [serve];
  if (name === "completion") return [(await import("./commands/completion.ts")).completion];
  return (await import("./all-commands.ts")).commands;
};

const code = await dispatch(process.argv.slice(2), process.env, io, deps, load);
// Handles may still be open after a second signal, so exit explicitly, but only when stdout has been flushed. Where it could
// not be, the listener above exits.
process.stdout.write("", (error) => {
  if (!error) process.exit(code);
});
