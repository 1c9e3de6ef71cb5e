import type { Drivers } from "../drivers/drivers.ts";
import type { BareLoad } from "../drivers/process/bare-backends.ts";
import { RealClients } from "../drivers/real-clients.ts";
import { formatNumber } from "../measure/figure.ts";
import { Histogram } from "../measure/histogram.ts";
import { LatencyFigures } from "../measure/latency-figures.ts";
import { includesRow, type Plan } from "../plan.ts";
import { Child } from "../process/child.ts";
import type { Section } from "../report/section.ts";
import type { Table } from "../report/table.ts";
import type { Target } from "../report/target.ts";
import { type Backends, type StoreKind, startBackends, storeKindsHere } from "../servers/backends.ts";
import type { StoreFigures } from "../servers/process/tidings.ts";
import { TidingsServer } from "../servers/servers.ts";
import { rawRequest } from "../sockets/raw-caller.ts";
import { batchBody, publishBody, publishTo } from "../workload/message.ts";
import { benchTenant, serviceToken } from "../workload/tokens.ts";

/** The users that get messages. */
const users = Array.from({ length: 10 }, (_, index) => `user-${index}`);
/** The maximum number of publishes in flight. */
const connections = 50;
/** Messages in one PublishBatch: the most that it takes. */
const batchSize = 1000;
/** Batches of each kind. */
const batches = 5;

/** Two nodes on the same backends. Messages are published on one; the clients are connected to the other. */
interface Pair {
  readonly backends: Backends;
  /** The node on which messages are published. */
  readonly publisher: TidingsServer;
  readonly clients: RealClients;
  /** Messages that all clients together should have received. */
  expected: number;
}

/** Measures the latency of messages between two nodes, and how many commands of MongoDB and Redis they take. */
export async function nodes(plan: Plan, drivers: Drivers): Promise<Section> {
  const tables: Table[] = [];
  const targets: Target[] = [];
  for (const kind of storeKindsHere.filter((kind) => includesRow(plan, kind))) {
    const measured = await onStore(kind, plan, drivers);
    tables.push(...measured.tables);
    targets.push(...(measured.targets ?? []));
  }
  return { tables, targets };
}

async function onStore(kind: StoreKind, plan: Plan, drivers: Drivers): Promise<Section> {
  await using backends = await startBackends(kind);
  if (!backends) return { tables: [] };
  const { urls, name } = backends;
  const bare = new LatencyFigures("100 a second: bare drivers, one insert and one PUBLISH");
  const bareBusy = new LatencyFigures("1,000 a second: bare drivers");
  const quiet = new LatencyFigures("100 a second to 10 users");
  const narrow = new LatencyFigures("1,000 a second to one user");
  const busy = new LatencyFigures("1,000 a second to 10 users");
  await bareRuns(plan, backends, [
    [bare, 100],
    [bareBusy, 1000],
  ]);
  await using publisher = await TidingsServer.start({ nodes: urls });
  await using receiver = await TidingsServer.start({ nodes: urls });
  await using clients = new RealClients();
  const followers = users.map((user) => ({ user, tenant: benchTenant }));
  await clients.open({ port: receiver.port, users: followers, transport: "ws" });
  const pair: Pair = { backends, publisher, clients, expected: 0 };
  // Round 0 is the warm-up.
  await runAt(plan, drivers, pair, { figures: busy, perSecond: 2000, to: users, round: 0 });
  for (let round = 1; round <= plan.rounds; round++) {
    await runAt(plan, drivers, pair, { figures: quiet, perSecond: 100, to: users, round });
    await runAt(plan, drivers, pair, { figures: narrow, perSecond: 1000, to: users.slice(0, 1), round });
    await runAt(plan, drivers, pair, { figures: busy, perSecond: 1000, to: users, round });
  }
  const latencies: Table = [
    [`publish on one node, receive on another: ${name}`, "p50, ms", "p99, ms"],
    ...[bare, quiet, bareBusy, narrow, busy].map(({ cells }) => cells),
  ];
  const targets = targetsOf(name, busy);
  // Batching does not depend on the store, so it is measured on one of them.
  const tables = kind === "ferretdb" ? [latencies] : [latencies, await batchingTable(pair, drivers, plan)];
  return { tables, targets };
}

function targetsOf(store: string, { p50, p99 }: LatencyFigures): Target[] {
  const name = `publish to receive on another node, 1,000 a second, ${store}`;
  const common = { bound: "at most", unit: " ms" } as const;
  return [
    { ...common, name: `${name}: p50`, limit: 5, measured: p50.median },
    { ...common, name: `${name}: p99`, limit: 50, measured: p99.median },
  ];
}

async function bareRuns(
  { rounds, nodesMs }: Plan,
  { urls }: Backends,
  rows: readonly (readonly [LatencyFigures, perSecond: number])[],
): Promise<void> {
  await using driver = new Child("drivers/process/bare-backends.ts");
  await driver.call("open", urls);
  for (let round = 0; round <= rounds; round++) {
    for (const [figures, perSecond] of rows) {
      const load: BareLoad = { perSecond, durationMs: nodesMs / 2 };
      figures.add(round, undefined, new Histogram(await driver.call<number[]>("openLoop", load)));
    }
  }
}

/** One run of the latency table. */
interface Run {
  readonly figures: LatencyFigures;
  readonly perSecond: number;
  /** The users that get messages, round-robin. */
  readonly to: readonly string[];
  readonly round: number;
}

async function runAt({ nodesMs: durationMs }: Plan, { callers }: Drivers, pair: Pair, run: Run): Promise<void> {
  const { publisher, clients } = pair;
  const { figures, perSecond, to, round } = run;
  const token = await serviceToken();
  const requests = to.map((user) => rawRequest("Publish", token, publishBody(publishTo({ user }))));
  const { invalid } = await callers.openLoop({ port: publisher.port, requests, connections, durationMs, perSecond });
  pair.expected += Math.round((durationMs * perSecond) / 1000);
  figures.add(round, invalid ?? (await clients.findLoss(pair.expected)), await clients.times());
}

/** How many messages share a command of the store and of Redis. */
async function batchingTable(pair: Pair, { callers }: Drivers, { measurementMs }: Plan): Promise<Table> {
  const { publisher } = pair;
  const token = await serviceToken();
  const requests = [rawRequest("Publish", token, publishBody(publishTo({ user: "ada" })))];
  const load = { port: publisher.port, requests, durationMs: measurementMs };
  const publishBatches = async (audience: (index: number) => string) => {
    const body = batchBody(Array.from({ length: batchSize }, (_, index) => publishTo({ user: audience(index) })));
    for (let count = 0; count < batches; count++) await publisher.call("PublishBatch", body);
  };
  return [
    [
      "batching",
      "messages per insert",
      "messages per PUBLISH",
      "Redis commands per message",
      "commands per read of Redis",
    ],
    ["1 caller, one feed", ...(await batchingOf(pair, () => callers.closedLoop({ ...load, connections: 1 })))],
    ["50 callers, one feed", ...(await batchingOf(pair, () => callers.closedLoop({ ...load, connections })))],
    ["batches of 1,000, one feed", ...(await batchingOf(pair, () => publishBatches(() => "ada")))],
    ["batches of 1,000, 1,000 feeds", ...(await batchingOf(pair, () => publishBatches((index) => `user ${index}`)))],
  ];
}

async function batchingOf({ publisher, backends }: Pair, work: () => Promise<unknown>): Promise<string[]> {
  const [store, redis] = [await publisher.child.call<StoreFigures>("figures"), await backends.redis()];
  await work();
  const [storeAfter, redisAfter] = [await publisher.child.call<StoreFigures>("figures"), await backends.redis()];
  const messages = storeAfter.messages - store.messages;
  const inserts = storeAfter.writes - store.writes;
  const publishes = redisAfter.publishes - redis.publishes;
  const commands = redisAfter.commands - redis.commands;
  const reads = redisAfter.reads - redis.reads;
  return [messages / inserts, messages / publishes, commands / messages, commands / reads].map(formatNumber);
}
