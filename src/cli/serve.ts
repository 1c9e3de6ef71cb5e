import type { Command } from "./command.ts";
import { runServer } from "./run-server.ts";
import { authOptions, serverOptions, tlsOptions } from "./server-options.ts";

/** `tidings serve`: the service itself. */
export const serve: Command = {
  name: "serve",
  summary: "Run the service.",
  details:
    "Needs a key to check tokens with: a JWT secret or a key set. When it is ready it prints one line of JSON on stdout: " +
    "address, host, port and pid. Logs go to stderr. SIGTERM and SIGINT drain it: clients are told to return, calls under " +
    "way finish, nothing answered is lost; a second signal ends it at once.",
  examples: [
    "TIDINGS_JWT_SECRET=$(openssl rand -base64 32) tidings serve",
    "tidings serve --port 0 --data /var/lib/tidings --jwt-secret-file /run/secrets/tidings",
    "tidings serve --host 0.0.0.0 --tls-key key.pem --tls-cert cert.pem --jwt-jwks-url https://id.example.com/jwks.json",
    "tidings serve --config tidings.yaml",
  ],
  async run(context) {
    const { values, deps, print } = context;
    const auth = authOptions(values);
    const tls = tlsOptions(values);
    const options = serverOptions(values, auth, await deps.createLogger(values.logLevel));
    const { host, port, metricsAddress } = values;
    const at = { host, port, ...(tls ? { tls } : {}), ...(metricsAddress ? { metricsAddress } : {}) };
    return runServer(context, options, at, ({ url, host, port, metrics }) => {
      print.json({ address: url, host, port, pid: process.pid, ...(metrics ? { metrics } : {}) });
    });
  },
};
