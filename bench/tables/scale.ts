import { lineChart } from "../charts/lines.ts";
import type { Drivers } from "../drivers.ts";
import { Figure, plain } from "../figure.ts";
import { fileLimit } from "../machine.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../section.ts";
import { TidingsServer } from "../servers.ts";
import type { SubscriberGroup } from "../subscribers.ts";
import type { Table } from "../table.ts";
import type { Target } from "../target.ts";
import { measureTurns, type TurnFigures } from "../turns.ts";
import { measureFeeds } from "./feeds.ts";

/** Files of a process beside its connections. */
const otherFiles = 100;

interface Running {
  readonly count: number;
  readonly tidings: TidingsServer;
  readonly group: SubscriberGroup;
  readonly figures: TurnFigures;
  sent: number;
}

/** How cost grows with subscribers of one feed, and with the number of feeds that publishes are spread over. */
export async function scale(plan: Plan, { subscribers }: Drivers): Promise<Section> {
  await using scope = new AsyncDisposableStack();
  const running: Running[] = [];
  for (const count of plan.scale) {
    if (count + otherFiles > fileLimit()) {
      console.log(`ulimit -n is too low for ${count} subscribers: no row for them.`);
      continue;
    }
    const tidings = scope.use(await TidingsServer.start());
    const group = await subscribers.open({ family: "tidings-ws", port: tidings.port, count });
    running.push({ count, tidings, group, figures: { cost: new Figure(), rate: new Figure() }, sent: 0 });
  }
  for (let round = 0; round <= plan.rounds; round++) {
    for (const row of running) {
      if (round === 0) await row.tidings.warmUp(plan.warmUps);
      const figures = round === 0 ? { cost: new Figure(), rate: new Figure() } : row.figures;
      const { tidings } = row;
      await measureTurns(
        { cpu: () => tidings.cpu(), turn: () => turn(row), subscribers, sliceMs: plan.sliceMs },
        figures,
      );
    }
    await subscribers.sayAlive();
  }
  const last = running.at(-1);
  if (!last) return { tables: [] };
  const feeds = await measureFeeds(plan, subscribers, last);
  return { tables: [table(running), feeds], targets: targets(running), charts: { subscribers: chart(running) } };
}

async function turn(row: Running): Promise<number> {
  row.sent++;
  await Promise.all([row.tidings.send(1), row.group.until(row.sent)]);
  return row.count;
}

function table(rows: readonly Running[]): Table {
  return [
    ["ws subscribers, durable, one message at a time", "server CPU per delivery, µs", "deliveries a second"],
    ...rows.map(({ count, figures }) => [
      count.toLocaleString("en"),
      figures.cost.text(plain),
      figures.rate.text(plain),
    ]),
  ];
}

function targets(rows: readonly Running[]): Target[] {
  const [usual, most] = rows.slice(-2);
  if (!usual || !most) return [];
  const what = `cost per delivery, ${plain(most.count)} / ${plain(usual.count)} subscribers`;
  const measured = most.figures.cost.median / usual.figures.cost.median;
  return [{ what, sense: "at most", limit: 1.2, measured, unit: " ×" }];
}

function chart(rows: readonly Running[]): string {
  return lineChart({
    title: "Server CPU per delivery, µs (lower is better)",
    across: "subscribers of one feed",
    values: rows.map(({ count }) => count),
    series: [{ name: "Tidings, WebSocket, on disk", figures: rows.map(({ figures }) => figures.cost) }],
  });
}
