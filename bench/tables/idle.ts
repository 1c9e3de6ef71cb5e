import type { Family } from "../drivers/families.ts";
import type { Drivers } from "../drivers.ts";
import { Figure, plain } from "../figure.ts";
import { fileLimit } from "../machine.ts";
import { isChosen, type Plan } from "../plan.ts";
import type { Section } from "../section.ts";
import { PlainServer, TidingsServer } from "../servers.ts";
import type { Target } from "../target.ts";

/** Files of a process beside its connections. */
const otherFiles = 100;

const kinds: readonly {
  name: string;
  family: Family;
  perSession?: number;
  /** KB, as the target says. */
  limit?: number;
  start: () => Promise<PlainServer | TidingsServer>;
}[] = [
  { name: "ws alone", family: "ws", start: () => PlainServer.start("ws") },
  { name: "Tidings, WebSocket", family: "tidings-ws", limit: 12, start: () => TidingsServer.start() },
  { name: "stock connect-node, HTTP/1.1", family: "connect", start: () => PlainServer.start("connect", "1.1") },
  { name: "Tidings, Connect HTTP/1.1", family: "connect", limit: 30, start: () => TidingsServer.start() },
  { name: "Tidings, gRPC HTTP/2 × 100", family: "grpc", perSession: 100, start: () => TidingsServer.start() },
];

/** Memory of the server per idle subscription, each of a user of its own. */
export async function idle(plan: Plan, { subscribers }: Drivers): Promise<Section> {
  const { idle: wanted } = plan;
  const count = Math.min(wanted, Math.floor((fileLimit() - otherFiles) / 1.2));
  if (count < wanted) console.log(`ulimit -n allows ${count} idle connections instead of ${wanted}.`);
  const rows: string[][] = [];
  const targets: Target[] = [];
  for (const { name, family, perSession = 1, limit, start } of kinds.filter((kind) => isChosen(plan, kind.name))) {
    const figure = new Figure();
    await using server = await start();
    const spec = { family, perSession, port: server.port };
    // The first ones pay for code, pools and a young generation that all share.
    await subscribers.open({ ...spec, count: Math.ceil(count / 5), prefix: "first-" });
    const before = await server.child.rss();
    await subscribers.open({ ...spec, count });
    figure.add(((await server.child.rss()) - before) / count / 1000);
    rows.push([name, figure.text(plain), String(count)]);
    const what = `idle subscription, ${name}`;
    if (limit !== undefined) targets.push({ what, sense: "at most", limit, measured: figure.median, unit: " KB" });
  }
  return { tables: [[["idle subscriptions", "server RSS each, KB", "count"], ...rows]], targets };
}
