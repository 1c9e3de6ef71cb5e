import type { Drivers } from "../drivers/drivers.ts";
import type { SubscriberGroup } from "../drivers/subscribers.ts";
import { Figure, formatNumber } from "../measure/figure.ts";
import { reasonOf } from "../measure/invalid.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../report/section.ts";
import type { Target } from "../report/target.ts";
import { type Served, startServe } from "../servers/serve.ts";

/** Connections that publish: enough for the kernel to spread them evenly over the event loops. */
const connections = 200;
/** The number of users that publishes go to, round-robin. None of them is online. */
const users = 1000;

/** What one operation costs, in µs. */
interface Cost {
  /** CPU of the whole process. */
  readonly total: Figure;
  /** CPU of the thread that has most to do: one operation cannot follow the other faster than that. */
  readonly busiest: Figure;
}

interface Row {
  readonly workers: number;
  readonly delivery: Cost;
  readonly publish: Cost;
}

interface RunningRow extends Row {
  readonly server: Served;
  readonly group: SubscriberGroup;
  readonly requests: readonly Buffer[];
  /** Messages that each subscriber has received. */
  sent: number;
}

/**
 * Measures how the work of `tidings serve` spreads over its event loops. Drivers and server share the cores here, so a rate
 * says little: what several cores can do follows from the CPU time of the busiest thread.
 */
export async function workers(plan: Plan, { subscribers, callers }: Drivers): Promise<Section> {
  await using scope = new AsyncDisposableStack();
  const rows: RunningRow[] = [];
  for (const count of plan.workers) {
    try {
      const server = scope.use(await startServe(count));
      const group = await subscribers.open({ protocol: "tidings-ws", port: server.port, count: plan.subscribers });
      const requests = Array.from({ length: users }, (_, index) => server.publishRequest(`offline-${index}`));
      rows.push({ workers: count, delivery: newCost(), publish: newCost(), server, group, requests, sent: 0 });
    } catch (error) {
      console.log(`workers: skipped ${count} event loops: ${reasonOf(error)}\n`);
    }
  }
  for (let round = 0; round <= plan.rounds; round++) {
    for (const row of rows) {
      const { server, requests, group } = row;
      if (round === 0) await server.warmUp?.(plan.warmUpPublishes);
      await count(round, server, row.delivery, () => deliver(row, plan.measurementMs));
      await group.check(row.sent).catch((error: unknown) => invalidate(row.delivery, error));
      await count(round, server, row.publish, async () => {
        const durationMs = plan.measurementMs * (round === 0 ? 4 : 1);
        const run = await callers.closedLoop({ port: server.port, requests, connections, durationMs });
        if (run.invalid !== undefined) throw new Error(run.invalid);
        return run.calls;
      });
    }
  }
  return { tables: [table(plan, rows)], targets: targets(rows) };
}

/** Runs operations and adds what one of them has cost. Round 0 is the warm-up. */
async function count(round: number, server: Served, cost: Cost, operate: () => Promise<number>): Promise<void> {
  const before = server.threads();
  try {
    const operations = await operate();
    if (round === 0) return;
    const used = [...server.threads()].map(([thread, time]) => time - (before.get(thread) ?? 0));
    cost.total.add(used.reduce((sum, time) => sum + time, 0) / operations);
    cost.busiest.add(Math.max(...used) / operations);
  } catch (error) {
    for (const figure of [cost.total, cost.busiest]) figure.reject(reasonOf(error));
  }
}

async function deliver(row: RunningRow, durationMs: number): Promise<number> {
  const end = performance.now() + durationMs;
  const before = row.sent;
  while (performance.now() < end) {
    row.sent++;
    await Promise.all([row.server.send(1), row.group.until(row.sent)]);
  }
  return (row.sent - before) * row.group.count;
}

function newCost(): Cost {
  return { total: new Figure(), busiest: new Figure() };
}

function invalidate({ total, busiest }: Cost, error: unknown): void {
  for (const figure of [total, busiest]) figure.invalidate(reasonOf(error));
}

function table({ subscribers }: Plan, rows: readonly Row[]) {
  const one = rows.find((row) => row.workers === 1);
  const cells = (cost: Cost, first: Cost | undefined) => [
    cost.total.text(formatNumber),
    cost.busiest.text(formatNumber),
    `${formatNumber(speedUp(first, cost))} ×`,
  ];
  const columns = ["server CPU, µs", "of the busiest thread", "possible rate"];
  return [
    [
      "event loops",
      ...columns.map((text) => `delivery to ${subscribers}: ${text}`),
      ...columns.map((text) => `Publish: ${text}`),
    ],
    ...rows.map(({ workers: count, delivery, publish }) => [
      String(count),
      ...cells(delivery, one?.delivery),
      ...cells(publish, one?.publish),
    ]),
  ];
}

/** How many times as fast the busiest thread lets operations follow each other. */
function speedUp(one: Cost | undefined, many: Cost | undefined): number {
  return (one?.busiest.median ?? Number.NaN) / (many?.busiest.median ?? Number.NaN);
}

function targets(rows: readonly Row[]): Target[] {
  const find = (count: number) => rows.find((row) => row.workers === count);
  const limits = [
    [2, 1.7],
    [4, 3],
  ] as const;
  return limits.flatMap(([count, limit]) => {
    const common = { bound: "at least", limit, unit: " ×" } as const;
    const name = `${count} event loops / 1, by the busiest thread`;
    return [
      { ...common, name: `${name}: fan-out`, measured: speedUp(find(1)?.delivery, find(count)?.delivery) },
      { ...common, name: `${name}: Publish`, measured: speedUp(find(1)?.publish, find(count)?.publish) },
    ];
  });
}
