import type { Drivers } from "../drivers/drivers.ts";
import { Figure, formatNumber } from "../measure/figure.ts";
import { reasonOf } from "../measure/invalid.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../report/section.ts";
import type { Table } from "../report/table.ts";
import { feedEnd } from "../servers/feed-end.ts";
import { TidingsServer } from "../servers/servers.ts";
import type { Protocol } from "../sockets/protocols.ts";
import { batchBody, markedText, publishTo, typicalLength } from "../workload/message.ts";
import { benchTenant } from "../workload/tokens.ts";

const protocols: readonly { name: string; protocol: Protocol }[] = [
  { name: "WebSocket", protocol: "tidings-ws" },
  { name: "Connect HTTP/1.1", protocol: "connect" },
];
const batchSize = 100;
const mebibyte = 2 ** 20;
/** Long enough for all messages of all subscribers. */
const timeoutMs = 60_000;

interface Row {
  readonly name: string;
  readonly seconds: Figure;
  readonly rate: Figure;
  readonly cost: Figure;
  readonly growth: Figure;
}

/** Measures a resume: subscribers that missed messages of their tenant return at the same time, with their old positions. */
export async function resume(plan: Plan, { subscribers }: Drivers): Promise<Section> {
  await using tidings = await TidingsServer.start();
  const from = await feedEnd(tidings.port, "tenant");
  for (let count = 0; count < plan.missed; count += batchSize) {
    const requests = Array.from({ length: Math.min(batchSize, plan.missed - count) }, () =>
      publishTo({ tenant: benchTenant }, markedText(typicalLength)),
    );
    await tidings.call("PublishBatch", batchBody(requests));
  }
  const rows = protocols.map(({ name }): Row => {
    return { name, seconds: new Figure(), rate: new Figure(), cost: new Figure(), growth: new Figure() };
  });
  const rounds = plan.name === "full" ? plan.rounds : 1;
  for (let round = 0; round < rounds; round++) {
    for (const [index, { protocol }] of protocols.entries()) {
      const row = rows[index] as Row;
      const before = await tidings.child.rss();
      const cpu = await tidings.cpu();
      const start = performance.now();
      try {
        const group = await subscribers.open({
          protocol,
          port: tidings.port,
          count: plan.subscribers,
          subscribe: { positions: [from] },
          concurrency: plan.subscribers,
        });
        await group.until(plan.missed, timeoutMs);
        const seconds = (performance.now() - start) / 1000;
        const deliveries = plan.missed * plan.subscribers;
        row.seconds.add(seconds);
        row.rate.add(deliveries / seconds);
        row.cost.add(((await tidings.cpu()) - cpu) / deliveries);
        row.growth.add(((await tidings.child.rss()) - before) / mebibyte);
        await group.check(plan.missed);
        await group.close();
      } catch (error) {
        for (const figure of [row.seconds, row.rate, row.cost, row.growth]) figure.invalidate(reasonOf(error));
      }
    }
  }
  return { tables: [table(plan, rows)] };
}

function table({ subscribers, missed }: Plan, rows: readonly Row[]): Table {
  return [
    [
      `${subscribers} subscribers resume, ${missed} messages each`,
      "time until all have caught up, s",
      "messages a second",
      "server CPU per message, µs",
      "growth of server RSS, MiB",
    ],
    ...rows.map(({ name, seconds, rate, cost, growth }) => [
      name,
      ...[seconds, rate, cost, growth].map((figure) => figure.text(formatNumber)),
    ]),
  ];
}
