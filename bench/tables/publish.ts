import type { CallRun } from "../drivers/callers.ts";
import type { Drivers } from "../drivers/drivers.ts";
import { connectionsText, Figure, formatNumber } from "../measure/figure.ts";
import type { Plan } from "../plan.ts";
import { lineChart } from "../report/charts/lines.ts";
import type { Section } from "../report/section.ts";
import type { Table } from "../report/table.ts";
import type { Target } from "../report/target.ts";
import { ReferenceServer, TidingsServer } from "../servers/servers.ts";
import { rawRequest } from "../sockets/raw-caller.ts";
import { batchBody, publishBody, publishTo } from "../workload/message.ts";
import { serviceToken } from "../workload/tokens.ts";
import { BareStore } from "./bare-store.ts";

const batchSize = 100;
/** The number of users that publishes go to, round-robin. */
const users = 1000;

/** The figures of one method with one number of connections. */
interface Cell {
  /** Messages per second. */
  readonly rate: Figure;
  readonly p50: Figure;
  readonly p99: Figure;
}

/** A method to publish. */
interface Method {
  readonly name: string;
  readonly port: number;
  readonly requests: readonly Buffer[];
  /** Messages in one request. */
  readonly size: number;
  /** The figures by number of connections. */
  readonly cells: ReadonlyMap<number, Cell>;
}

/**
 * Measures throughput and latency of durable publishes by the number of connections, next to their upper bounds: a handler
 * that stores nothing, and SQLite alone.
 */
export async function publish(plan: Plan, { callers }: Drivers): Promise<Section> {
  await using stock = await ReferenceServer.start("connect", "1.1");
  await using tidings = await TidingsServer.start();
  using store = new BareStore();
  const token = await serviceToken();
  const unary = Array.from({ length: users }, (_, index) =>
    rawRequest("Publish", token, publishBody(publishTo({ user: `user-${index}` }))),
  );
  const batches = Array.from({ length: users / batchSize }, (_, batch) => {
    const requests = Array.from({ length: batchSize }, (_, index) =>
      publishTo({ user: `user-${batch * batchSize + index}` }),
    );
    return rawRequest("PublishBatch", token, batchBody(requests));
  });
  const method = (name: string, port: number, requests: readonly Buffer[], size: number): Method => {
    const cells = plan.concurrency.map((connections) => [connections, newCell()] as const);
    return { name, port, requests, size, cells: new Map(cells) };
  };
  const methods = [
    method("stock Connect handler, stores nothing", stock.port, unary, 1),
    method("Publish, durable", tidings.port, unary, 1),
    method(`PublishBatch of ${batchSize}, durable`, tidings.port, batches, batchSize),
  ];
  const bare = { single: new Figure(), batch: new Figure() };
  for (let round = 0; round <= plan.rounds; round++) {
    const isWarmUp = round === 0;
    const [single, batch] = [store.run(plan.measurementMs, 1), store.run(plan.measurementMs, batchSize)];
    if (!isWarmUp) {
      bare.single.add(single);
      bare.batch.add(batch);
    }
    for (const { port, requests, size, cells } of methods) {
      for (const [connections, cell] of cells) {
        const run = await callers.closedLoop({ port, requests, connections, durationMs: plan.measurementMs });
        if (!isWarmUp) add(cell, run, size);
      }
    }
  }
  return {
    tables: [rateTable(plan, methods, bare), latencyTable(plan, methods)],
    targets: targets(methods.at(-1), bare.batch),
    charts: { publish: chart(plan, methods) },
  };
}

function newCell(): Cell {
  return { rate: new Figure(), p50: new Figure(), p99: new Figure() };
}

function add({ rate, p50, p99 }: Cell, run: CallRun, size: number): void {
  if (run.invalid !== undefined) {
    for (const figure of [rate, p50, p99]) figure.reject(run.invalid);
    return;
  }
  rate.add(run.perSecond * size);
  p50.add(run.times.percentile(0.5));
  p99.add(run.times.percentile(0.99));
}

function rateTable({ concurrency }: Plan, methods: readonly Method[], bare: { single: Figure; batch: Figure }): Table {
  const blank = concurrency.slice(1).map(() => "");
  return [
    ["messages a second", ...concurrency.map(connectionsText)],
    ["bare SQLite, 1 per commit", bare.single.text(formatNumber), ...blank],
    [`bare SQLite, ${batchSize} per commit`, bare.batch.text(formatNumber), ...blank],
    ...methods.map(({ name, cells }) => [name, ...[...cells.values()].map(({ rate }) => rate.text(formatNumber))]),
  ];
}

function latencyTable({ concurrency }: Plan, methods: readonly Method[]): Table {
  const text = ({ p50, p99 }: Cell) => `${formatNumber(p50.median)}, ${formatNumber(p99.median)}`;
  return [
    ["p50, p99 of a call, ms", ...concurrency.map(connectionsText)],
    ...methods.map(({ name, cells }) => [name, ...[...cells.values()].map(text)]),
  ];
}

function targets(batches: Method | undefined, bare: Figure): Target[] {
  const rates = [...(batches?.cells.values() ?? [])].map(({ rate }) => rate.median).filter((value) => value > 0);
  return [
    {
      name: `PublishBatch of ${batchSize} / bare SQLite, ${batchSize} per commit`,
      bound: "at least",
      limit: 70,
      measured: (Math.max(...rates) / bare.median) * 100,
      unit: " %",
    },
  ];
}

function chart({ concurrency }: Plan, methods: readonly Method[]): string {
  return lineChart({
    title: "Messages published a second (higher is better)",
    across: "connections that publish at once",
    values: concurrency,
    series: methods.map(({ name, cells }) => ({ name, figures: [...cells.values()].map(({ rate }) => rate) })),
  });
}
