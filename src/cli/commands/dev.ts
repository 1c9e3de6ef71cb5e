import type { IncomingMessage, ServerResponse } from "node:http";
import { dayMs } from "../../util/durations.ts";
import type { Command } from "../command.ts";
import { serverOptions } from "../config/server-options.ts";
import { mintDemoTokens } from "../dev/demo-tokens.ts";
import { devSecret } from "../dev/dev-secret.ts";
import { printQuickStart } from "../dev/quick-start.ts";
import { runServer } from "../process/run-server.ts";

const tokenLifetimeSeconds = dayMs / 1000;

/** `tidings dev`: runs the service for development, with a demo page and tokens. */
export const dev: Command = {
  name: "dev",
  summary: "Run the service for development, with a demo page, tokens and example calls.",
  details:
    "Creates its own secret and keeps it in the data folder. The demo page gives tokens to every visitor, so do not expose " +
    "it beyond 127.0.0.1. Pages of the usual development servers on localhost may call the service.",
  examples: ["tidings dev", "tidings dev --port 0 --data /tmp/tidings --log-level info"],
  async run(context) {
    const { values, deps, print } = context;
    const secret = devSecret(values.data);
    const tokens = await mintDemoTokens(secret, tokenLifetimeSeconds, Math.floor(deps.now() / 1000));
    const page = await deps.demoPage(secret);
    const options = serverOptions(values, { secret }, await deps.createLogger(values.logLevel));
    const at = {
      host: values.host,
      port: values.port,
      ...(values.metricsAddress ? { metricsAddress: values.metricsAddress } : {}),
      ...(values.pathPrefix === undefined ? {} : { pathPrefix: values.pathPrefix }),
      fallback: (request: IncomingMessage, response: ServerResponse) => {
        if (!page(request, response)) response.writeHead(404, { "content-type": "text/plain" }).end("not found\n");
      },
    };
    return runServer(context, options, at, (address) => {
      if (!values.json) return printQuickStart(print, address, values.data, tokens);
      const { url, host, port, metrics } = address;
      print.json({
        address: url,
        host,
        port,
        pid: process.pid,
        ...(metrics ? { metrics } : {}),
        tokens: Object.fromEntries(tokens),
      });
    });
  },
};
