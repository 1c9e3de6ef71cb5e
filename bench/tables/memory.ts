import type { Drivers } from "../drivers/drivers.ts";
import type { SubscriberGroup } from "../drivers/subscribers.ts";
import { formatNumber } from "../measure/figure.ts";
import { includesRow, type Plan } from "../plan.ts";
import type { Section } from "../report/section.ts";
import { TidingsServer } from "../servers/servers.ts";
import type { Protocol } from "../sockets/protocols.ts";
import { markedText, publishBody, publishTo, typicalLength } from "../workload/message.ts";

const kinds: readonly { name: string; protocol: Protocol; streamsPerConnection?: number }[] = [
  { name: "WebSocket", protocol: "tidings-ws" },
  { name: "Connect HTTP/1.1", protocol: "connect" },
  { name: "Connect HTTP/2 × 100", protocol: "connect-h2", streamsPerConnection: 100 },
  { name: "gRPC HTTP/2 × 100", protocol: "grpc", streamsPerConnection: 100 },
];

/** Messages to each user, and the length of their content: enough to fill what the server keeps of a feed. */
const small = { count: 48, length: typicalLength };
const large = { count: 60, length: 2000 };

/**
 * Measures the memory of the server per open stream, each of another user: after it was opened, and after messages to each
 * user, which the streams have taken.
 */
export async function memory(plan: Plan, { subscribers }: Drivers): Promise<Section> {
  const { held: count } = plan;
  const rows: string[][] = [];
  for (const { name, protocol, streamsPerConnection = 1 } of kinds) {
    if (!includesRow(plan, name)) continue;
    await using server = await TidingsServer.start();
    const spec = { protocol, streamsPerConnection, port: server.port };
    // The first streams and messages also pay for code and pools, which all streams share.
    const first = await subscribers.open({ ...spec, count: Math.ceil(count / 5), prefix: "first-" });
    await send(server, first, "first-", small, 0);
    const before = await used(server);
    const group = await subscribers.open({ ...spec, count });
    const opened = await used(server);
    await send(server, group, "user-", small, 0);
    const afterSmall = await used(server);
    await send(server, group, "user-", large, small.count);
    const afterLarge = await used(server);
    const each = (after: Used) =>
      [after.rss - before.rss, after.heap - before.heap].map((bytes) => formatNumber(bytes / count / 1000)).join(" / ");
    rows.push([name, each(opened), each(afterSmall), each(afterLarge), String(count)]);
  }
  const header = [
    "a stream: server RSS / heap and buffers, KB",
    "opened",
    `after ${small.count} messages of ${small.length} characters`,
    `after ${large.count} more of ${large.length}`,
    "count",
  ];
  return { tables: [[header, ...rows]] };
}

interface Used {
  readonly rss: number;
  readonly heap: number;
}

async function used({ child }: TidingsServer): Promise<Used> {
  return { heap: await child.heap(), rss: await child.rss() };
}

/** Publishes to each user of the group, one message at a time, and waits until all have arrived. `before`: messages so far. */
async function send(
  server: TidingsServer,
  group: SubscriberGroup,
  prefix: string,
  { count, length }: typeof small,
  before: number,
): Promise<void> {
  const users = Array.from({ length: group.count }, (_, number) => `${prefix}${number}`);
  const body = publishBody(publishTo({ users }, markedText(length)));
  for (let sent = 1; sent <= count; sent++) {
    await server.call("Publish", body);
    await group.until(before + sent);
  }
  await group.check(before + count);
}
