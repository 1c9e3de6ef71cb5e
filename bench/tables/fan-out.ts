import type { Drivers } from "../drivers/drivers.ts";
import type { SubscriberGroup, Subscribers } from "../drivers/subscribers.ts";
import { type DeliveryFigures, measureDeliveries, newDeliveryFigures } from "../measure/deliveries.ts";
import { Figure, formatNumber } from "../measure/figure.ts";
import { reasonOf } from "../measure/invalid.ts";
import type { Plan } from "../plan.ts";
import { dotChart } from "../report/charts/dots.ts";
import type { Section } from "../report/section.ts";
import type { Target } from "../report/target.ts";
import { type Contender, names } from "../servers/peers.ts";
import type { Sender } from "../servers/servers.ts";
import { contenders, unpaced } from "./contenders.ts";

/** Messages to each subscriber in one send. */
const sizes = [1, 10, 100] as const;
type Size = (typeof sizes)[number];
/** Rounds of writes that the row without pacing makes without a pause. They fit into the buffers of a socket. */
const rounds = 20;

interface Row {
  readonly contender: Contender;
  readonly figures: Readonly<Record<Size, DeliveryFigures>>;
  /** Bytes on the connection for each delivery of a single message, framing included. */
  readonly wire: Figure;
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
    const figures = { 1: newDeliveryFigures(), 10: newDeliveryFigures(), 100: newDeliveryFigures() };
    return { contender, figures, wire: new Figure() };
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
  return {
    tables: [costTable(rows), rateTable(rows), wireTable(rows)],
    targets: targets(rows),
    charts: { "fan-out": chart(rows) },
  };
}

/** Runs a warm-up and all rounds. A round measures every row, so that a disturbance affects all of them. */
async function runRounds(plan: Plan, subscribers: Subscribers, running: readonly RunningRow[]): Promise<void> {
  const slow = new Set<DeliveryFigures>();
  for (let round = 0; round <= plan.fanOutRounds; round++) {
    for (const row of running) {
      if (round === 0) await row.sender.warmUp?.(plan.warmUpPublishes);
      for (const size of sizesOf(row)) {
        const figures = round === 0 ? newDeliveryFigures() : row.figures[size];
        // One iteration of a slow server takes seconds. Unless the run is a full one, it gets a single round.
        if (slow.has(row.figures[size]) && plan.name !== "full" && round !== 1) continue;
        // Single messages vary most from round to round, so they are measured longest.
        const durationMs = size === 1 ? plan.measurementMs : plan.measurementMs / (round === 0 ? 5 : 2);
        const before = { bytes: await row.group.bytes(), sent: row.sent };
        const tookMs = await measureDeliveries(
          { cpu: () => row.sender.cpu(), iterate: () => send(row, size), subscribers, durationMs },
          figures,
        );
        if (tookMs > 3 * plan.measurementMs) slow.add(row.figures[size]);
        const deliveries = (row.sent - before.sent) * row.group.count;
        if (size === 1 && round > 0) row.wire.add(((await row.group.bytes()) - before.bytes) / deliveries);
      }
      await row.group.check(row.sent).catch((error: unknown) => invalidate(row, error));
    }
  }
}

/** Sends messages and waits until all have arrived, so that messages of two sends never share a write. */
async function send(row: RunningRow, size: Size): Promise<number> {
  const flood = row.contender.name === unpaced ? row.sender.flood : undefined;
  const messages = flood ? rounds : size;
  row.sent += messages;
  const arrived = row.group.until(row.sent);
  await Promise.all([flood ? flood.call(row.sender, messages) : row.sender.send(messages), arrived]);
  return messages * row.group.count;
}

/** The row without pacing writes each message by itself. */
function sizesOf({ contender }: Row): readonly Size[] {
  return contender.name === unpaced ? [1] : sizes;
}

/** Discards all figures of a row that lost or duplicated messages, or could not be opened. */
function invalidate({ figures, wire }: Row, error: unknown): void {
  const reason = reasonOf(error);
  wire.invalidate(reason);
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
    ...rows.map((row) => [row.contender.name, ...cells(row, (size) => row.figures[size].cost)]),
  ];
}

function rateTable(rows: readonly Row[]) {
  return [
    ["deliveries a second", ...sizes.map(sizeName)],
    ...rows.map((row) => [row.contender.name, ...cells(row, (size) => row.figures[size].rate)]),
  ];
}

function cells(row: Row, figure: (size: Size) => Figure): string[] {
  return sizes.map((size) => (sizesOf(row).includes(size) ? figure(size).text(formatNumber) : ""));
}

function wireTable(rows: readonly Row[]) {
  return [
    ["one message at a time", "bytes on the wire per delivery"],
    ...rows.map(({ contender, wire }) => [contender.name, formatNumber(wire.median)]),
  ];
}

function targets(rows: readonly Row[]): Target[] {
  const cost = (name: string, size: Size = 1) =>
    rows.find(({ contender }) => contender.name === name)?.figures[size].cost.median ?? Number.NaN;
  const atMost = (name: string, limit: number, measured: number): Target => {
    return { name, bound: "at most", limit, measured, unit: " ×" };
  };
  return [
    atMost("ws / C write loop", 1.6, cost(names.ws) / cost(names.floor)),
    atMost("ws / Socket.IO", 0.65, cost(names.ws) / cost(names.socketIo)),
    atMost("ws / Centrifugo", 0.75, cost(names.ws) / cost(names.centrifugo)),
    atMost("Connect HTTP/1.1 / C write loop", 1.7, cost(names.connect) / cost(names.floor)),
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
