import type { CallRun } from "../callers.ts";
import { lineChart } from "../charts/lines.ts";
import { rawRequest } from "../drivers/raw-caller.ts";
import type { Drivers } from "../drivers.ts";
import { Figure, plain } from "../figure.ts";
import { batchBody, publishBody, publishTo } from "../message.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../section.ts";
import { PlainServer, TidingsServer } from "../servers.ts";
import type { Table } from "../table.ts";
import type { Target } from "../target.ts";
import { serviceToken } from "../tokens.ts";
import { BareStore } from "./bare-store.ts";

const batchSize = 100;
/** Publishes go to so many users in turn. */
const users = 1000;
/** The targets' number of connections. */
const usualConnections = 50;

/** One way to publish, with so many connections. */
interface Cell {
  /** Messages a second. */
  readonly rate: Figure;
  readonly p50: Figure;
  readonly p99: Figure;
}

/** Ways to publish. */
interface Way {
  readonly name: string;
  readonly port: number;
  readonly requests: readonly Buffer[];
  /** Messages in one request. */
  readonly size: number;
  readonly cells: ReadonlyMap<number, Cell>;
}

/** Throughput and latency of durable publishing against concurrency, and what bounds them, interleaved. */
export async function publish(plan: Plan, { callers }: Drivers): Promise<Section> {
  await using stock = await PlainServer.start("connect", "1.1");
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
  const way = (name: string, port: number, requests: readonly Buffer[], size: number): Way => {
    const cells = plan.concurrency.map((connections) => [connections, newCell()] as const);
    return { name, port, requests, size, cells: new Map(cells) };
  };
  const ways = [
    way("stock Connect handler, stores nothing", stock.port, unary, 1),
    way("Publish, durable", tidings.port, unary, 1),
    way(`PublishBatch of ${batchSize}, durable`, tidings.port, batches, batchSize),
  ];
  const bare = { single: new Figure(), batch: new Figure() };
  for (let round = 0; round <= plan.rounds; round++) {
    const counts = round > 0;
    const [single, batch] = [store.run(plan.sliceMs, 1), store.run(plan.sliceMs, batchSize)];
    if (counts) bare.single.add(single);
    if (counts) bare.batch.add(batch);
    for (const { port, requests, size, cells } of ways) {
      for (const [connections, cell] of cells) {
        const run = await callers.load({ port, requests, connections, milliseconds: plan.sliceMs });
        if (counts) add(cell, run, size);
      }
    }
  }
  return {
    tables: [rateTable(plan, ways, bare), latencyTable(plan, ways)],
    targets: targets(ways, bare.batch),
    charts: { publish: chart(plan, ways) },
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

function rateTable({ concurrency }: Plan, ways: readonly Way[], bare: { single: Figure; batch: Figure }): Table {
  const blank = concurrency.slice(1).map(() => "");
  return [
    ["messages a second", ...concurrency.map((connections) => `${connections} connections`)],
    ["bare SQLite, 1 a commit", bare.single.text(plain), ...blank],
    [`bare SQLite, ${batchSize} a commit`, bare.batch.text(plain), ...blank],
    ...ways.map(({ name, cells }) => [name, ...[...cells.values()].map(({ rate }) => rate.text(plain))]),
  ];
}

function latencyTable({ concurrency }: Plan, ways: readonly Way[]): Table {
  const text = ({ p50, p99 }: Cell) => `${plain(p50.median)}, ${plain(p99.median)}`;
  return [
    ["p50, p99 of a call, ms", ...concurrency.map((connections) => `${connections} connections`)],
    ...ways.map(({ name, cells }) => [name, ...[...cells.values()].map(text)]),
  ];
}

function targets([stock, unary, batches]: readonly Way[], bare: Figure): Target[] {
  const rate = (way: Way | undefined) => way?.cells.get(usualConnections)?.rate.median ?? Number.NaN;
  const best = Math.max(
    ...[...(batches?.cells.values() ?? [])].map(({ rate }) => rate.median).filter((value) => value > 0),
  );
  const ratio = (what: string, limit: number, measured: number): Target => {
    return { what, sense: "at least", limit, measured: measured * 100, unit: " %" };
  };
  return [
    ratio(`PublishBatch of ${batchSize} / bare SQLite, ${batchSize} a commit`, 70, best / bare.median),
    ratio(`Publish / stock Connect handler, ${usualConnections} connections`, 85, rate(unary) / rate(stock)),
  ];
}

function chart({ concurrency }: Plan, ways: readonly Way[]): string {
  return lineChart({
    title: "Messages published a second (higher is better)",
    across: "connections that publish at once",
    values: concurrency,
    series: ways.map(({ name, cells }) => ({ name, figures: [...cells.values()].map(({ rate }) => rate) })),
  });
}
