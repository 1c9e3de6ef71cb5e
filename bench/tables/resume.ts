import type { Family } from "../drivers/families.ts";
import type { Drivers } from "../drivers.ts";
import { Figure, plain } from "../figure.ts";
import { headOf } from "../head.ts";
import { batchBody, markedText, publishTo, usualLength } from "../message.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../section.ts";
import { TidingsServer } from "../servers.ts";
import type { Table } from "../table.ts";
import { benchTenant } from "../tokens.ts";

const ways: readonly { name: string; family: Family; perSession?: number }[] = [
  { name: "WebSocket", family: "tidings-ws" },
  { name: "Connect HTTP/1.1", family: "connect" },
];
const batchSize = 100;
const mebibyte = 2 ** 20;
/** All of them, however slow. */
const patienceMs = 60_000;

interface Row {
  readonly name: string;
  readonly seconds: Figure;
  readonly rate: Figure;
  readonly cost: Figure;
  readonly growth: Figure;
}

/** Everybody comes back at once: subscribers that missed messages of their tenant resume from the positions they have. */
export async function resume(plan: Plan, { subscribers }: Drivers): Promise<Section> {
  await using tidings = await TidingsServer.start();
  const from = await headOf(tidings.port, "tenant");
  for (let count = 0; count < plan.missed; count += batchSize) {
    const requests = Array.from({ length: Math.min(batchSize, plan.missed - count) }, () =>
      publishTo({ tenant: benchTenant }, markedText(usualLength)),
    );
    await tidings.call("PublishBatch", batchBody(requests));
  }
  const rows = ways.map(({ name }): Row => {
    return { name, seconds: new Figure(), rate: new Figure(), cost: new Figure(), growth: new Figure() };
  });
  const rounds = plan.name === "full" ? plan.rounds : 1;
  for (let round = 0; round < rounds; round++) {
    for (const [index, { family, perSession = 1 }] of ways.entries()) {
      const row = rows[index] as Row;
      const before = await tidings.child.rss();
      const cpu = await tidings.cpu();
      const start = performance.now();
      try {
        const group = await subscribers.open({
          family,
          perSession,
          port: tidings.port,
          count: plan.subscribers,
          subscribe: { positions: [from] },
          atOnce: plan.subscribers,
        });
        await group.until(plan.missed, patienceMs);
        const seconds = (performance.now() - start) / 1000;
        const deliveries = plan.missed * plan.subscribers;
        row.seconds.add(seconds);
        row.rate.add(deliveries / seconds);
        row.cost.add(((await tidings.cpu()) - cpu) / deliveries);
        row.growth.add(((await tidings.child.rss()) - before) / mebibyte);
        await group.check(plan.missed);
        await group.close();
      } catch (error) {
        const [reason] = (error as Error).message.split("\n", 1) as [string];
        for (const figure of [row.seconds, row.rate, row.cost, row.growth]) figure.invalidate(reason);
      }
    }
  }
  return { tables: [table(plan, rows)] };
}

function table({ subscribers, missed }: Plan, rows: readonly Row[]): Table {
  return [
    [
      `${subscribers} subscribers resume, ${missed} messages each`,
      "all have all after, s",
      "messages a second",
      "server CPU per message, µs",
      "server RSS grew by, MiB",
    ],
    ...rows.map(({ name, seconds, rate, cost, growth }) => [
      name,
      ...[seconds, rate, cost, growth].map((figure) => figure.text(plain)),
    ]),
  ];
}
