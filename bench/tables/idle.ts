import { settings } from "../../src/cli/config/settings.ts";
import { semiSpaceFlags } from "../../src/cli/process/semi-space.ts";
import type { Drivers } from "../drivers/drivers.ts";
import { formatNumber } from "../measure/figure.ts";
import { reasonOf } from "../measure/invalid.ts";
import { includesRow, type Plan } from "../plan.ts";
import { connectionLimit } from "../report/machine.ts";
import type { Section } from "../report/section.ts";
import type { Target } from "../report/target.ts";
import { type Contender, silentPeers } from "../servers/peers.ts";
import { ReferenceServer, TidingsServer } from "../servers/servers.ts";

/** The flags with which `tidings serve` starts Node. */
const serveFlags = semiSpaceFlags(Number(settings.semiSpace.default), process);
/** The time after which an operator looks, in ms. */
const settleMs = 2000;

/** The names of rows with a target, and the targets in KB. */
const limits: ReadonlyMap<string, number> = new Map([
  ["Tidings, WebSocket, as serve starts it", 14],
  ["Tidings, Connect HTTP/1.1, as serve starts it", 28],
]);

/** The memory of one idle subscription, in KB. */
interface Memory {
  /** Growth of RSS in a new process, without a forced collection. */
  readonly seen: number;
  /** Growth of RSS with further subscriptions, after forced collections; NaN for programs that have none. */
  readonly marginal: number;
}

/** Measures the memory of the server per idle subscription, each by another user. */
export async function idle(plan: Plan, drivers: Drivers): Promise<Section> {
  // Half of them again are opened for the marginal figure.
  const count = Math.min(plan.idle, Math.floor(connectionLimit() / 1.5));
  if (count < plan.idle) console.log(`idle: ulimit -n allows ${count} connections instead of ${plan.idle}`);
  const rows: string[][] = [];
  const targets: Target[] = [];
  for (const contender of contenders().filter(({ name }) => includesRow(plan, name))) {
    const { name } = contender;
    const measured = await measure(contender, count, drivers).catch(reasonOf);
    const failed = typeof measured === "string";
    rows.push(
      failed
        ? [name, `invalid: ${measured}`, "", ""]
        : [name, ...[measured.seen, measured.marginal].map(formatNumber), count.toLocaleString("en")],
    );
    const limit = limits.get(name);
    if (limit === undefined) continue;
    const seen = failed ? Number.NaN : measured.seen;
    targets.push({ name: `idle subscription: ${name}`, bound: "at most", limit, measured: seen, unit: " KB" });
  }
  const header = [
    "idle subscriptions: server RSS each, KB",
    "as an operator sees it",
    "one more, after a collection",
    "count",
  ];
  return { tables: [[header, ...rows]], targets };
}

function contenders(): Contender[] {
  const served = () => TidingsServer.start({}, { flags: serveFlags });
  return [
    ...silentPeers(),
    { name: "Tidings, WebSocket", protocol: "tidings-ws", start: () => TidingsServer.start() },
    { name: "Tidings, WebSocket, as serve starts it", protocol: "tidings-ws", start: served },
    { name: "Tidings, Connect HTTP/1.1", protocol: "connect", start: () => TidingsServer.start() },
    { name: "Tidings, Connect HTTP/1.1, as serve starts it", protocol: "connect", start: served },
    {
      name: "Tidings, gRPC HTTP/2 × 100",
      protocol: "grpc",
      streamsPerConnection: 100,
      start: () => TidingsServer.start(),
    },
  ];
}

async function measure(contender: Contender, count: number, { subscribers }: Drivers): Promise<Memory> {
  const { protocol, streamsPerConnection = 1, start } = contender;
  await using server = await start();
  const spec = { protocol, streamsPerConnection, port: server.port };
  const alone = server.resident();
  const first = await subscribers.open({ ...spec, count, prefix: "first-" });
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  const seen = (server.resident() - alone) / count / 1000;
  let marginal = Number.NaN;
  if (server instanceof ReferenceServer || server instanceof TidingsServer) {
    // The first connections also pay for code, pools and V8's young generation, which all connections share.
    const before = await server.child.rss();
    const more = Math.ceil(count / 2);
    const second = await subscribers.open({ ...spec, count: more, prefix: "second-" });
    marginal = ((await server.child.rss()) - before) / more / 1000;
    await second.close();
  }
  await first.close();
  return { seen, marginal };
}
