import type { Drivers } from "../drivers/drivers.ts";
import type { SubscriberGroup } from "../drivers/subscribers.ts";
import { type DeliveryFigures, measureDeliveries, newDeliveryFigures } from "../measure/deliveries.ts";
import { formatNumber } from "../measure/figure.ts";
import type { Plan } from "../plan.ts";
import { lineChart } from "../report/charts/lines.ts";
import { connectionLimit } from "../report/machine.ts";
import type { Section } from "../report/section.ts";
import type { Table } from "../report/table.ts";
import type { Target } from "../report/target.ts";
import { TidingsServer } from "../servers/servers.ts";
import { measureFeeds } from "./feeds.ts";

interface Row {
  readonly count: number;
  readonly tidings: TidingsServer;
  readonly group: SubscriberGroup;
  readonly figures: DeliveryFigures;
  /** Messages that each subscriber has received. */
  sent: number;
}

/** Measures how the cost grows with the subscribers of one feed, and with the number of feeds that messages go to. */
export async function scale(plan: Plan, { subscribers }: Drivers): Promise<Section> {
  await using scope = new AsyncDisposableStack();
  const rows: Row[] = [];
  for (const count of plan.scale) {
    if (count > connectionLimit()) {
      console.log(`scale: skipped ${count} subscribers: ulimit -n is too low`);
      continue;
    }
    const tidings = scope.use(await TidingsServer.start());
    const group = await subscribers.open({ protocol: "tidings-ws", port: tidings.port, count });
    rows.push({ count, tidings, group, figures: newDeliveryFigures(), sent: 0 });
  }
  for (let round = 0; round <= plan.rounds; round++) {
    for (const row of rows) {
      if (round === 0) await row.tidings.warmUp(plan.warmUpPublishes);
      const figures = round === 0 ? newDeliveryFigures() : row.figures;
      const { tidings } = row;
      await measureDeliveries(
        { cpu: () => tidings.cpu(), iterate: () => sendOne(row), subscribers, durationMs: plan.measurementMs },
        figures,
      );
    }
  }
  const last = rows.at(-1);
  if (!last) return { tables: [] };
  const feeds = await measureFeeds(plan, subscribers, last);
  return { tables: [table(rows), feeds], targets: targets(rows), charts: { subscribers: chart(rows) } };
}

async function sendOne(row: Row): Promise<number> {
  row.sent++;
  await Promise.all([row.tidings.send(1), row.group.until(row.sent)]);
  return row.count;
}

function table(rows: readonly Row[]): Table {
  return [
    ["ws subscribers, durable, one message at a time", "server CPU per delivery, µs", "deliveries a second"],
    ...rows.map(({ count, figures }) => [
      count.toLocaleString("en"),
      figures.cost.text(formatNumber),
      figures.rate.text(formatNumber),
    ]),
  ];
}

function targets(rows: readonly Row[]): Target[] {
  const [few, many] = rows.slice(-2);
  if (!few || !many) return [];
  const name = `cost per delivery, ${formatNumber(many.count)} / ${formatNumber(few.count)} subscribers`;
  const measured = many.figures.cost.median / few.figures.cost.median;
  return [{ name, bound: "at most", limit: 1.2, measured, unit: " ×" }];
}

function chart(rows: readonly Row[]): string {
  return lineChart({
    title: "Server CPU per delivery, µs (lower is better)",
    across: "subscribers of one feed",
    values: rows.map(({ count }) => count),
    series: [{ name: "Tidings, WebSocket, on disk", figures: rows.map(({ figures }) => figures.cost) }],
  });
}
