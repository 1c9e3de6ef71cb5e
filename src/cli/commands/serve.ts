import type { SocketOptions } from "../../http/listener.ts";
import { freeSocketPath } from "../../http/unix-socket.ts";
import type { Listening } from "../../server.ts";
import type { Command } from "../command.ts";
import {
  authOptions,
  checkNodes,
  metricsAddressOf,
  rereadFiles,
  serverOptions,
  tlsOptions,
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
    "embedded store serves one process. With --store and --bus any number of processes, on any machines, share a store; " +
    "--workers starts several of them on one port.",
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
    const tls = tlsOptions(values);
    const socket = socketOf(values, io);
    const isInherited = socket !== undefined && "fd" in socket;
    // Before anything is opened, since the process may replace itself; it would lose a socket that it was given.
    if (values.workers === 1 && !isInherited) deps.limitSemiSpace(values.semiSpace);
    const redact = createRedactor([values.store, values.bus]);
    const logger = await deps.createLogger(values.logLevel, redact);
    const printReady = ({ url, host, port, metrics }: Listening) => {
      const workers = values.workers > 1 ? { workers: values.workers } : {};
      print.json({ address: url, host, port, pid: process.pid, ...workers, ...(metrics ? { metrics } : {}) });
    };
    // Before the workers, which share the socket.
    if (socket && "path" in socket && !io.reportReady) await freeSocketPath(socket.path);
    if (values.workers > 1 && !io.reportReady) return new Supervisor(context, logger).run(printReady);
    const { host, port, pathPrefix } = values;
    const metricsAddress = metricsAddressOf(values, io.workerIndex);
    const at = {
      host,
      port,
      ...(socket ? { socket } : {}),
      ...(tls ? { tls } : {}),
      ...(metricsAddress ? { metricsAddress } : {}),
      ...(pathPrefix === undefined ? {} : { pathPrefix }),
    };
    try {
      const options = serverOptions(values, auth, logger);
      return await runServer(context, options, at, io.reportReady ?? printReady, () => rereadFiles(values));
    } catch (error) {
      if (error instanceof Error) error.message = redact(error.message);
      throw error;
    }
  },
};

function socketOf({ address, socketMode }: Values, io: Io): SocketOptions | undefined {
  if (address !== undefined) return { path: address, mode: socketMode };
  const fd = io.openSocket();
  return fd === undefined ? undefined : { fd };
}
