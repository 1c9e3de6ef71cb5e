import { dotChart } from "../charts/dots.ts";
import type { Drivers } from "../drivers.ts";
import { Figure, plain } from "../figure.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../section.ts";
import type { Sender } from "../servers.ts";
import type { SubscriberGroup, Subscribers } from "../subscribers.ts";
import type { Target } from "../target.ts";
import { measureTurns, type TurnFigures } from "../turns.ts";
import { type Contender, contenders, names } from "./contenders.ts";

/** Messages that one turn sends to each subscriber. */
const sizes = [1, 10, 100] as const;
type Size = (typeof sizes)[number];

interface Row {
  readonly contender: Contender;
  readonly figures: Readonly<Record<Size, TurnFigures>>;
}

interface Running extends Row {
  readonly sender: Sender;
  readonly group: SubscriberGroup;
  sent: number;
}

/** What one delivery costs each server, all with the same number of subscribers and the same size of message. */
export async function fanOut(plan: Plan, { subscribers }: Drivers): Promise<Section> {
  await using scope = new AsyncDisposableStack();
  const rows = contenders(plan).map((contender): Row => {
    return { contender, figures: { 1: newFigures(), 10: newFigures(), 100: newFigures() } };
  });
  const running: Running[] = [];
  const senders = rows.map(async ({ contender }) => scope.use(await contender.start()));
  for (const [index, row] of rows.entries()) {
    try {
      const sender = (await senders[index]) as Sender;
      const { family, perSession = 1 } = row.contender;
      const group = await subscribers.open({ family, perSession, port: sender.port, count: plan.subscribers });
      running.push({ ...row, sender, group, sent: 0 });
    } catch (error) {
      reject(row, error as Error);
    }
  }
  await rounds(plan, subscribers, running);
  return { tables: [costTable(rows), rateTable(rows)], targets: targets(rows), charts: { "fan-out": chart(rows) } };
}

function newFigures(): TurnFigures {
  return { cost: new Figure(), rate: new Figure() };
}

/** A warm-up, then the same order again and again. */
async function rounds(plan: Plan, subscribers: Subscribers, running: readonly Running[]): Promise<void> {
  const slow = new Set<TurnFigures>();
  for (let round = 0; round <= plan.fanOutRounds; round++) {
    for (const row of running) {
      if (round === 0) await row.sender.warmUp?.(plan.warmUps);
      for (const size of sizes) {
        const figures = round === 0 ? newFigures() : row.figures[size];
        // A single turn of some takes seconds: outside a full run, one round says enough.
        if (slow.has(row.figures[size]) && plan.name !== "full" && round !== 1) continue;
        // What one write costs is what differs most from round to round.
        const sliceMs = size === 1 ? plan.sliceMs : plan.sliceMs / (round === 0 ? 5 : 2);
        const took = await measureTurns(
          { cpu: () => row.sender.cpu(), turn: () => turn(row, size), subscribers, sliceMs },
          figures,
        );
        if (took > 3 * plan.sliceMs) slow.add(row.figures[size]);
      }
      await row.group.check(row.sent).catch((error: Error) => reject(row, error));
      // Not only between rounds: one round of all takes longer than servers wait for a pong.
      await subscribers.sayAlive();
    }
  }
}

/** Waits until all have all: no message of one turn travels with one of the next. */
async function turn(row: Running, size: Size): Promise<number> {
  row.sent += size;
  const arrived = row.group.until(row.sent);
  await Promise.all([row.sender.send(size), arrived]);
  return size * row.group.count;
}

/** Counted wrong: none of its figures mean anything. */
function reject({ figures }: Row, error: Error): void {
  const [reason] = error.message.split("\n", 1) as [string];
  for (const size of sizes) {
    figures[size].cost.invalidate(reason);
    figures[size].rate.invalidate(reason);
  }
}

function costTable(rows: readonly Row[]) {
  return [
    ["server CPU per delivery, µs", ...sizes.map((size) => `${size} a turn`)],
    ...rows.map(({ contender, figures }) => [contender.name, ...sizes.map((size) => figures[size].cost.text(plain))]),
  ];
}

function rateTable(rows: readonly Row[]) {
  return [
    ["deliveries a second", ...sizes.map((size) => `${size} a turn`)],
    ...rows.map(({ contender, figures }) => [contender.name, ...sizes.map((size) => figures[size].rate.text(plain))]),
  ];
}

function targets(rows: readonly Row[]): Target[] {
  const cost = (name: string, size: Size = 1) =>
    rows.find(({ contender }) => contender.name === name)?.figures[size].cost.median ?? Number.NaN;
  const atMost = (what: string, limit: number, measured: number): Target => {
    return { what, sense: "at most", limit, measured, unit: " ×" };
  };
  return [
    atMost("ws / bare write loop", 1.3, cost(names.ws) / cost(names.bare)),
    atMost("ws / Socket.IO", 0.5, cost(names.ws) / cost(names.socketIo)),
    atMost("Connect HTTP/1.1 / bare write loop", 1.6, cost(names.connect) / cost(names.bare)),
    atMost("Connect HTTP/1.1 / stock connect-node", 0.25, cost(names.connect) / cost(names.stockConnect)),
    atMost("gRPC × 100 / bare write loop", 1.6, cost(names.grpc) / cost(names.bare)),
    atMost("gRPC × 100 / stock connect-node × 100", 0.25, cost(names.grpc) / cost(names.stockHttp2)),
    ...[names.ws, names.connect, names.grpc].map((name) =>
      atMost(`${name}: 10 a turn / 1 a turn`, 0.25, cost(name, 10) / cost(name)),
    ),
  ];
}

function chart(rows: readonly Row[]): string {
  return dotChart({
    title: "Server CPU per delivery, µs (lower is better)",
    series: sizes.map((size) => `${size} a turn`),
    rows: rows.map(({ contender, figures }) => ({
      name: contender.name,
      own: contender.name.startsWith("Tidings"),
      dots: sizes.map((size) => figures[size].cost),
    })),
  });
}
