import type { Drivers } from "../drivers/drivers.ts";
import type { SubscriberGroup } from "../drivers/subscribers.ts";
import { type DeliveryFigures, measureDeliveries, newDeliveryFigures } from "../measure/deliveries.ts";
import { formatNumber } from "../measure/figure.ts";
import { reasonOf } from "../measure/invalid.ts";
import { includesRow, type Plan } from "../plan.ts";
import { lineChart } from "../report/charts/lines.ts";
import { connectionLimit } from "../report/machine.ts";
import type { Section } from "../report/section.ts";
import type { Table } from "../report/table.ts";
import type { Target } from "../report/target.ts";
import { type Contender, names, own, writeLoop } from "../servers/peers.ts";
import { type Sender, TidingsServer } from "../servers/servers.ts";
import { measureFeeds } from "./feeds.ts";

interface Cell {
  readonly contender: Contender;
  readonly count: number;
  readonly sender: Sender;
  readonly group: SubscriberGroup;
  readonly figures: DeliveryFigures;
  /** Messages that each subscriber has received. */
  sent: number;
}

/** Measures how the cost grows with the subscribers of one feed, and with the number of feeds that messages go to. */
export async function scale(plan: Plan, { subscribers }: Drivers): Promise<Section> {
  await using scope = new AsyncDisposableStack();
  const contenders: readonly Contender[] = [...writeLoop(), own.socketIo, own.ws].filter(({ name }) =>
    includesRow(plan, name),
  );
  // Each driver has half of the subscribers of every server.
  const most = Math.floor((2 * connectionLimit()) / contenders.length / 1.2);
  const counts = plan.scale.filter((count) => count <= most);
  for (const count of plan.scale.filter((count) => count > most)) {
    console.log(`scale: skipped ${count} subscribers: ulimit -n is too low\n`);
  }
  const cells: Cell[] = [];
  for (const count of counts) {
    for (const contender of contenders) {
      const sender = scope.use(await contender.start());
      const group = await subscribers.open({ protocol: contender.protocol, port: sender.port, count });
      cells.push({ contender, count, sender, group, figures: newDeliveryFigures(), sent: 0 });
    }
  }
  for (let round = 0; round <= plan.rounds; round++) {
    for (const cell of cells) {
      const { sender } = cell;
      if (round === 0) await sender.warmUp?.(plan.warmUpPublishes);
      const figures = round === 0 ? newDeliveryFigures() : cell.figures;
      await measureDeliveries(
        { cpu: () => sender.cpu(), iterate: () => sendOne(cell), subscribers, durationMs: plan.measurementMs },
        figures,
      );
      await cell.group.check(cell.sent).catch((error: unknown) => {
        for (const figure of [cell.figures.cost, cell.figures.rate]) figure.invalidate(reasonOf(error));
      });
    }
  }
  const tables = [table(counts, contenders, cells)];
  const charts = cells.length > 0 ? { subscribers: chart(counts, contenders, cells) } : {};
  const last = cells.findLast(({ sender }) => sender instanceof TidingsServer);
  if (last?.sender instanceof TidingsServer) {
    tables.push(await measureFeeds(plan, subscribers, { tidings: last.sender, group: last.group, sent: last.sent }));
  }
  return { tables, targets: targets(cells), charts };
}

async function sendOne(cell: Cell): Promise<number> {
  cell.sent++;
  await Promise.all([cell.sender.send(1), cell.group.until(cell.sent)]);
  return cell.count;
}

function table(counts: readonly number[], contenders: readonly Contender[], cells: readonly Cell[]): Table {
  return [
    ["server CPU per delivery, µs, one message at a time", ...counts.map((count) => count.toLocaleString("en"))],
    ...contenders.map((contender) => [
      contender.name,
      ...counts.map((count) => find(cells, contender.name, count)?.figures.cost.text(formatNumber) ?? ""),
    ]),
  ];
}

function find(cells: readonly Cell[], name: string, count: number): Cell | undefined {
  return cells.find((cell) => cell.contender.name === name && cell.count === count);
}

function targets(cells: readonly Cell[]): Target[] {
  const cost = (count: number) => find(cells, names.ws, count)?.figures.cost.median ?? Number.NaN;
  const common = { bound: "at most", unit: " ×" } as const;
  return [
    { ...common, name: "ws delivery, 100 / 1,000 subscribers", limit: 1.6, measured: cost(100) / cost(1000) },
    { ...common, name: "ws delivery, 10,000 / 1,000 subscribers", limit: 1.2, measured: cost(10_000) / cost(1000) },
  ];
}

function chart(counts: readonly number[], contenders: readonly Contender[], cells: readonly Cell[]): string {
  return lineChart({
    title: "Server CPU per delivery, µs (lower is better)",
    across: "subscribers of one feed",
    values: counts,
    series: contenders.map(({ name }) => {
      const figures = counts.flatMap((count) => find(cells, name, count)?.figures.cost ?? []);
      return { name, figures };
    }),
  });
}
