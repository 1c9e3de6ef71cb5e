import type { Listening } from "../../server.ts";
import { authOptions, checkNodes, metricsAddressOf, serverOptions, tlsOptions } from "../config/server-options.ts";
import { createConceal } from "../process/conceal.ts";
import { runServer } from "../process/run-server.ts";
import { Workers } from "../process/workers.ts";
import type { Command } from "./command.ts";

/** `tidings serve`: the service itself. */
export const serve: Command = {
  name: "serve",
  summary: "Run the service.",
  details:
    "Needs a key to check tokens with: a JWT secret or a key set. When it is ready it prints one line of JSON on stdout: " +
    "address, host, port and pid. Logs go to stderr. SIGTERM and SIGINT drain it: clients are told to return, calls under " +
    "way finish, nothing answered is lost; a second signal ends it at once. One process holds the embedded store; any number " +
    "of them, on any machines, share a --store by one --bus, and --workers starts several on one port.",
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
    const conceal = createConceal([values.store, values.bus]);
    const logger = await deps.createLogger(values.logLevel, conceal);
    const say = ({ url, host, port, metrics }: Listening) => {
      const workers = values.workers > 1 ? { workers: values.workers } : {};
      print.json({ address: url, host, port, pid: process.pid, ...workers, ...(metrics ? { metrics } : {}) });
    };
    if (values.workers > 1 && !io.tellParent) return new Workers(context, logger).run(say);
    const { host, port } = values;
    const metricsAddress = metricsAddressOf(values, io.place);
    const at = { host, port, ...(tls ? { tls } : {}), ...(metricsAddress ? { metricsAddress } : {}) };
    try {
      return await runServer(context, serverOptions(values, auth, logger), at, io.tellParent ?? say);
    } catch (error) {
      if (error instanceof Error) error.message = conceal(error.message);
      throw error;
    }
  },
};
