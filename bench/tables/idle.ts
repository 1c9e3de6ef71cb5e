import type { Drivers } from "../drivers/drivers.ts";
import { Figure, formatNumber } from "../measure/figure.ts";
import { includesRow, type Plan } from "../plan.ts";
import { connectionLimit } from "../report/machine.ts";
import type { Section } from "../report/section.ts";
import type { Target } from "../report/target.ts";
import { ReferenceServer, TidingsServer } from "../servers/servers.ts";
import type { Protocol } from "../sockets/protocols.ts";

const kinds: readonly {
  name: string;
  protocol: Protocol;
  streamsPerConnection?: number;
  /** The target, in KB. */
  limit?: number;
  start: () => Promise<ReferenceServer | TidingsServer>;
}[] = [
  { name: "ws alone", protocol: "ws", start: () => ReferenceServer.start("ws") },
  { name: "Tidings, WebSocket", protocol: "tidings-ws", limit: 12, start: () => TidingsServer.start() },
  { name: "stock connect-node, HTTP/1.1", protocol: "connect", start: () => ReferenceServer.start("connect", "1.1") },
  { name: "Tidings, Connect HTTP/1.1", protocol: "connect", limit: 30, start: () => TidingsServer.start() },
  {
    name: "Tidings, gRPC HTTP/2 × 100",
    protocol: "grpc",
    streamsPerConnection: 100,
    start: () => TidingsServer.start(),
  },
];

/** Measures the memory of the server per idle subscription, each by another user. */
export async function idle(plan: Plan, { subscribers }: Drivers): Promise<Section> {
  const { idle: planned } = plan;
  const count = Math.min(planned, Math.floor(connectionLimit() / 1.2));
  if (count < planned) console.log(`idle: ulimit -n allows ${count} connections instead of ${planned}`);
  const rows: string[][] = [];
  const targets: Target[] = [];
  for (const { name, protocol, streamsPerConnection = 1, limit, start } of kinds.filter((kind) =>
    includesRow(plan, kind.name),
  )) {
    const figure = new Figure();
    await using server = await start();
    const spec = { protocol, streamsPerConnection, port: server.port };
    // The first connections also pay for code, pools and V8's young generation, which all connections share.
    await subscribers.open({ ...spec, count: Math.ceil(count / 5), prefix: "first-" });
    const before = await server.child.rss();
    await subscribers.open({ ...spec, count });
    figure.add(((await server.child.rss()) - before) / count / 1000);
    rows.push([name, figure.text(formatNumber), String(count)]);
    const target = `idle subscription, ${name}`;
    if (limit === undefined) continue;
    targets.push({ name: target, bound: "at most", limit, measured: figure.median, unit: " KB" });
  }
  return { tables: [[["idle subscriptions", "server RSS each, KB", "count"], ...rows]], targets };
}
