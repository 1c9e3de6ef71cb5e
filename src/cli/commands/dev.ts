import type { IncomingMessage, ServerResponse } from "node:http";
import { mintToken } from "../../auth/mint-token.ts";
import { serverOptions } from "../config/server-options.ts";
import { demoService, demoTenant, demoUsers } from "../dev/demo-page.ts";
import { printDevLines } from "../dev/lines.ts";
import { devSecret } from "../dev/secret.ts";
import { runServer } from "../process/run-server.ts";
import type { Command } from "./command.ts";

const tokenSeconds = 86_400;

/** `tidings dev`: the service with everything to try it, on this machine. */
export const dev: Command = {
  name: "dev",
  summary: "Run the service for development: demo page, ready-made tokens, lines to copy.",
  details:
    "Makes its own secret and keeps it in the data folder. Anybody who reaches the demo page gets a token, so keep it on " +
    "127.0.0.1. Pages of the usual development servers on localhost may call it.",
  examples: ["tidings dev", "tidings dev --port 0 --data /tmp/tidings --log-level info"],
  async run(context) {
    const { values, deps, print } = context;
    const secret = devSecret(values.data);
    const tokens = await devTokens(secret, Math.floor(deps.now() / 1000));
    const page = await deps.demoPage(secret);
    const options = serverOptions(values, { secret }, await deps.createLogger(values.logLevel));
    const at = {
      host: values.host,
      port: values.port,
      ...(values.metricsAddress ? { metricsAddress: values.metricsAddress } : {}),
      fallback: (request: IncomingMessage, response: ServerResponse) => {
        if (!page(request, response)) response.writeHead(404, { "content-type": "text/plain" }).end("not found\n");
      },
    };
    return runServer(context, options, at, (address) => {
      if (!values.json) return printDevLines(print, address, values.data, tokens);
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

/** Tokens of the demo's company, by id. */
async function devTokens(secret: string, now: number): Promise<Map<string, string>> {
  const people = [
    { sub: demoService, role: "service" as const },
    ...demoUsers.map((sub) => ({ sub, role: "user" as const })),
  ];
  const tokens = new Map<string, string>();
  for (const who of people) {
    tokens.set(who.sub, await mintToken(secret, { ...who, tenant: demoTenant, exp: now + tokenSeconds }, now));
  }
  return tokens;
}
