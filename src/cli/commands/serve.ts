import type { SocketOptions } from "../../http/listener.ts";
import { freeSocketPath } from "../../http/unix-socket.ts";
import type { Listening } from "../../server.ts";
import type { Command, Dependencies } from "../command.ts";
import {
  authOptions,
  checkNodes,
  listenOptions,
  metricsAddressOf,
  rereadFiles,
  serverOptions,
} from "../config/server-options.ts";
import type { Values } from "../config/settings.ts";
import { createRedactor } from "../output/redact.ts";
import type { Io } from "../process/io.ts";
import { runServer } from "../process/run-server.ts";
import { Supervisor } from "../process/supervisor.ts";

/** `tidings serve`: runs the service. */
export const serve: Command = {
  name: "serve",
  summary: "Run the service.",
  details:
    "Needs a key to verify tokens: a JWT secret or a key set. When it accepts connections it prints one line of JSON on " +
    "stdout, with address, host, port and pid. Logs go to stderr. SIGTERM and SIGINT drain it: clients are told to " +
    "reconnect, calls in flight finish, and nothing that was acknowledged is lost. A second signal ends it at once. SIGHUP " +
    "makes it read the files of --jwt-secret-file, --tls-key and --tls-cert again, without closing a connection. The " +
    "embedded store serves one process, whose event loops, one for each core, share the port. With --store and --bus any " +
    "number of processes, on any machines, share a store; --workers starts several of them on one port.",
  examples: [
    "TIDINGS_JWT_SECRET=$(openssl rand -base64 32) tidings serve",
    "tidings serve --port 0 --data /var/lib/tidings --jwt-secret-file /run/secrets/tidings",
    "tidings serve --host 0.0.0.0 --tls-key key.pem --tls-cert cert.pem --jwt-jwks-url https://id.example.com/jwks.json",
    "tidings serve --store mongodb://db1,db2,db3/tidings?replicaSet=rs0 --bus redis://cache:6379 --workers 4",
    "tidings serve --config tidings.yaml",
  ],
  async run(context) {
    const { values, io, deps, print } = context;
    checkNodes(values);
    const auth = authOptions(values);
    const at = listenOptions(values);
    const socket = socketOf(values, io);
    const loops = await planLoops(values, deps, socket);
    const isInherited = socket !== undefined && "fd" in socket;
    // Before anything is opened, since the process may replace itself. It would lose an inherited socket.
    if (loops.count === 1 && !io.reportReady && !isInherited) deps.limitSemiSpace(values.semiSpace);
    const redact = createRedactor([values.store, values.bus]);
    const logger = await deps.createLogger(values.logLevel, redact);
    if (loops.reason !== undefined) {
      const level = values.workers === undefined ? "info" : "warn";
      logger[level](`serving with one event loop: ${loops.reason}`);
    }
    // Checked here, too, where threads or processes will read them again: errors of usage have an exit code of their own.
    const options = serverOptions(values, auth, logger);
    const printReady = ({ url, host, port, metrics }: Listening) => {
      const workers = loops.count > 1 ? { workers: loops.count } : {};
      print.json({ address: url, host, port, pid: process.pid, ...workers, ...(metrics ? { metrics } : {}) });
    };
    // Before the workers, which share the socket.
    if (socket && "path" in socket && !io.reportReady) await freeSocketPath(socket.path);
    if (loops.count > 1 && !io.reportReady) {
      if (values.store !== undefined) {
        const start = (index: number) => deps.startWorker(index, values.semiSpace);
        return new Supervisor(context, logger, { kind: "process", count: loops.count, start }).run(printReady);
      }
      const threads = await deps.createThreads(values, loops.count, logger);
      return new Supervisor(context, logger, threads).run((address) => {
        const { metricsUrl: metrics } = threads;
        printReady({ ...address, ...(metrics === undefined ? {} : { metrics }) });
      });
    }
    const metricsAddress = metricsAddressOf(values, io.workerIndex);
    try {
      return await runServer(
        context,
        options,
        { ...at, ...(socket ? { socket } : {}), ...(metricsAddress ? { metricsAddress } : {}) },
        io.reportReady ?? printReady,
        () => rereadFiles(values),
      );
    } catch (error) {
      if (error instanceof Error) error.message = redact(error.message);
      throw error;
    }
  },
};

/** Chooses the number of event loops, and says why if it is one where it could be more. */
async function planLoops(
  { store, workers }: Values,
  deps: Pick<Dependencies, "threads" | "canReusePort">,
  socket: SocketOptions | undefined,
): Promise<{ readonly count: number; readonly reason?: string }> {
  if (store !== undefined) return { count: workers ?? 1 };
  const count = workers ?? deps.threads();
  if (count === 1) return { count };
  if (socket) return { count: 1, reason: "threads cannot share a unix socket or a socket from systemd" };
  if (await deps.canReusePort()) return { count };
  return { count: 1, reason: "this system cannot share a port among threads (SO_REUSEPORT)" };
}

function socketOf({ address, socketMode }: Values, io: Io): SocketOptions | undefined {
  if (address !== undefined) return { path: address, mode: socketMode };
  const fd = io.openSocket();
  return fd === undefined ? undefined : { fd };
}
