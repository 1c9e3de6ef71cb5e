import type { Drivers } from "../drivers/drivers.ts";
import type { SubscriberGroup, Subscribers } from "../drivers/subscribers.ts";
import { type DeliveryFigures, measureDeliveries, newDeliveryFigures } from "../measure/deliveries.ts";
import { formatNumber } from "../measure/figure.ts";
import { reasonOf } from "../measure/invalid.ts";
import type { Plan } from "../plan.ts";
import { dotChart } from "../report/charts/dots.ts";
import type { Section } from "../report/section.ts";
import type { Target } from "../report/target.ts";
import type { Sender } from "../servers/servers.ts";
import { type Contender, contenders, names } from "./contenders.ts";

/** Messages to each subscriber in one send. */
const sizes = [1, 10, 100] as const;
type Size = (typeof sizes)[number];

interface Row {
  readonly contender: Contender;
  readonly figures: Readonly<Record<Size, DeliveryFigures>>;
}

interface RunningRow extends Row {
  readonly sender: Sender;
  readonly group: SubscriberGroup;
  /** Messages that each subscriber has received. */
  sent: number;
}

/** Measures what one delivery costs each server, with equal numbers of subscribers and equal messages. */
export async function fanOut(plan: Plan, { subscribers }: Drivers): Promise<Section> {
  await using scope = new AsyncDisposableStack();
  const rows = contenders(plan).map((contender): Row => {
    return { contender, figures: { 1: newDeliveryFigures(), 10: newDeliveryFigures(), 100: newDeliveryFigures() } };
  });
  const running: RunningRow[] = [];
  const senders = rows.map(async ({ contender }) => scope.use(await contender.start()));
  for (const [index, row] of rows.entries()) {
    try {
      const sender = (await senders[index]) as Sender;
      const { protocol, streamsPerConnection = 1 } = row.contender;
      const group = await subscribers.open({
        protocol,
        streamsPerConnection,
        port: sender.port,
        count: plan.subscribers,
      });
      running.push({ ...row, sender, group, sent: 0 });
    } catch (error) {
      invalidate(row, error);
    }
  }
  await runRounds(plan, subscribers, running);
  return { tables: [costTable(rows), rateTable(rows)], targets: targets(rows), charts: { "fan-out": chart(rows) } };
}

/** Runs a warm-up and all rounds. A round measures every row, so that a disturbance affects all of them. */
async function runRounds(plan: Plan, subscribers: Subscribers, running: readonly RunningRow[]): Promise<void> {
  const slow = new Set<DeliveryFigures>();
  for (let round = 0; round <= plan.fanOutRounds; round++) {
    for (const row of running) {
      if (round === 0) await row.sender.warmUp?.(plan.warmUpPublishes);
      for (const size of sizes) {
        const figures = round === 0 ? newDeliveryFigures() : row.figures[size];
        // One iteration of a slow server takes seconds. Unless the run is a full one, it gets a single round.
        if (slow.has(row.figures[size]) && plan.name !== "full" && round !== 1) continue;
        // Single messages vary most from round to round, so they are measured longest.
        const durationMs = size === 1 ? plan.measurementMs : plan.measurementMs / (round === 0 ? 5 : 2);
        const tookMs = await measureDeliveries(
          { cpu: () => row.sender.cpu(), iterate: () => send(row, size), subscribers, durationMs },
          figures,
        );
        if (tookMs > 3 * plan.measurementMs) slow.add(row.figures[size]);
      }
      await row.group.check(row.sent).catch((error: unknown) => invalidate(row, error));
      // After each row, because a whole round takes longer than servers wait for a pong.
      await subscribers.keepAlive();
    }
  }
}

/** Sends messages and waits until all have arrived, so that messages of two sends never share a write. */
async function send(row: RunningRow, size: Size): Promise<number> {
  row.sent += size;
  const arrived = row.group.until(row.sent);
  await Promise.all([row.sender.send(size), arrived]);
  return size * row.group.count;
}

/** Discards all figures of a row that lost or duplicated messages, or could not be opened. */
function invalidate({ figures }: Row, error: unknown): void {
  const reason = reasonOf(error);
  for (const size of sizes) {
    figures[size].cost.invalidate(reason);
    figures[size].rate.invalidate(reason);
  }
}

function sizeName(size: Size): string {
  return `${size} per send`;
}

function costTable(rows: readonly Row[]) {
  return [
    ["server CPU per delivery, µs", ...sizes.map(sizeName)],
    ...rows.map(({ contender, figures }) => [
      contender.name,
      ...sizes.map((size) => figures[size].cost.text(formatNumber)),
    ]),
  ];
}

function rateTable(rows: readonly Row[]) {
  return [
    ["deliveries a second", ...sizes.map(sizeName)],
    ...rows.map(({ contender, figures }) => [
      contender.name,
      ...sizes.map((size) => figures[size].rate.text(formatNumber)),
    ]),
  ];
}

function targets(rows: readonly Row[]): Target[] {
  const cost = (name: string, size: Size = 1) =>
    rows.find(({ contender }) => contender.name === name)?.figures[size].cost.median ?? Number.NaN;
  const atMost = (name: string, limit: number, measured: number): Target => {
    return { name, bound: "at most", limit, measured, unit: " ×" };
  };
  return [
    atMost("ws / bare write loop", 1.3, cost(names.ws) / cost(names.bare)),
    atMost("ws / Socket.IO", 0.5, cost(names.ws) / cost(names.socketIo)),
    atMost("Connect HTTP/1.1 / bare write loop", 1.6, cost(names.connect) / cost(names.bare)),
    atMost("Connect HTTP/1.1 / stock connect-node", 0.25, cost(names.connect) / cost(names.stockConnect)),
    atMost("gRPC × 100 / bare write loop", 1.6, cost(names.grpc) / cost(names.bare)),
    atMost("gRPC × 100 / stock connect-node × 100", 0.25, cost(names.grpc) / cost(names.stockHttp2)),
    ...[names.ws, names.connect, names.grpc].map((name) =>
      atMost(`${name}: ${sizeName(10)} / ${sizeName(1)}`, 0.25, cost(name, 10) / cost(name)),
    ),
  ];
}

function chart(rows: readonly Row[]): string {
  return dotChart({
    title: "Server CPU per delivery, µs (lower is better)",
    series: sizes.map(sizeName),
    rows: rows.map(({ contender, figures }) => ({
      name: contender.name,
      own: contender.name.startsWith("Tidings"),
      dots: sizes.map((size) => figures[size].cost),
    })),
  });
}
