/** `tidings serve` with real workers, but with a service that responds to every request with the id of its process. */
import { pino } from "pino";
import { commands } from "../../../src/cli/all-commands.ts";
import type { Dependencies } from "../../../src/cli/command.ts";
import { dispatch } from "../../../src/cli/dispatch.ts";
import { startWorker, workerIo } from "../../../src/cli/process/cluster.ts";
import type { Io } from "../../../src/cli/process/io.ts";
import { createListener } from "../../../src/http/listener.ts";

const timeouts = { headersMs: 5_000, requestMs: 5_000, idleMs: 5_000, stallMs: 5_000 };

let reloads = 0;

const io: Io = {
  stdout: process.stdout,
  stderr: process.stderr,
  onSignal(call) {
    process.on("SIGTERM", call).on("SIGINT", call);
    return () => process.off("SIGTERM", call).off("SIGINT", call);
  },
  openSocket: () => undefined,
  input: () => process.stdin,
  onReload(call) {
    process.on("SIGHUP", call);
    return () => process.off("SIGHUP", call);
  },
  ...workerIo(),
};

const deps: Dependencies = {
  version: "0.0.0",
  async createTidings() {
    const listener = createListener({
      timeouts,
      onRequest: (request, response) =>
        void response.end(request.url === "/reloads" ? String(reloads) : String(process.pid)),
      onUpgrade: () => false,
    });
    return {
      listen: ({ host = "", port = 0 } = {}) => listener.listen(host, port),
      close: () => listener.close(1_000),
      failed: new Promise(() => {}),
      reload: () => {
        reloads++;
      },
    };
  },
  createLogger: async () => pino({ level: "silent" }),
  demoPage: async () => () => false,
  startWorker,
  threads: () => 1,
  canReusePort: async () => true,
  createThreads: () => Promise.reject(new Error("this test must not start threads")),
  limitSemiSpace: () => {},
  runShell: async () => "",
  now: () => Date.now(),
  after(milliseconds, call) {
    // Shortens the delays between restarts.
    const timeout = setTimeout(call, milliseconds / 50);
    return () => clearTimeout(timeout);
  },
};

const env = { TIDINGS_JWT_SECRET: process.env.TIDINGS_JWT_SECRET };
process.exit(await dispatch(process.argv.slice(2), env, io, deps, async () => commands));
