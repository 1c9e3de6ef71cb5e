import { Ages } from "../ages.ts";
import { type Backends, type StoreKind, startBackends, storesHere } from "../backends.ts";
import { Child } from "../child.ts";
import type { BarePace } from "../drivers/bare-backends.ts";
import { rawRequest } from "../drivers/raw-caller.ts";
import type { Drivers } from "../drivers.ts";
import { plain } from "../figure.ts";
import { Histogram } from "../histogram.ts";
import { batchBody, publishBody, publishTo } from "../message.ts";
import { isChosen, type Plan } from "../plan.ts";
import { RealClients } from "../real-clients.ts";
import type { Section } from "../section.ts";
import type { StoreFigures } from "../servers/tidings.ts";
import { TidingsServer } from "../servers.ts";
import type { Table } from "../table.ts";
import type { Target } from "../target.ts";
import { benchTenant, serviceToken } from "../tokens.ts";

/** Who gets messages. */
const users = Array.from({ length: 10 }, (_, index) => `user-${index}`);
/** Publishes under way at once, at most. */
const connections = 50;
/** In one PublishBatch: as many as it may have. */
const inBatch = 1000;
/** Batches of each kind. */
const batches = 5;

/** Two nodes on the same backends: messages are published on one, and received on the other. */
interface Pair {
  readonly backends: Backends;
  readonly near: TidingsServer;
  readonly clients: RealClients;
  /** Messages that the clients have to have. */
  expected: number;
}

/** How old a message is when a client of another node gets it, and what that takes of MongoDB and Redis. */
export async function nodes(plan: Plan, drivers: Drivers): Promise<Section> {
  const tables: Table[] = [];
  const targets: Target[] = [];
  for (const kind of storesHere.filter((kind) => isChosen(plan, kind))) {
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
  const bare = new Ages("100 a second: bare drivers, one insert and one PUBLISH");
  const bareBusy = new Ages("1,000 a second: bare drivers");
  const quiet = new Ages("100 a second to 10 users");
  const narrow = new Ages("1,000 a second to one user");
  const busy = new Ages("1,000 a second to 10 users");
  await bareRuns(plan, backends, [
    [bare, 100],
    [bareBusy, 1000],
  ]);
  await using near = await TidingsServer.start({ nodes: urls });
  await using far = await TidingsServer.start({ nodes: urls });
  await using clients = new RealClients();
  await clients.open({ port: far.port, users: users.map((user) => ({ user, tenant: benchTenant })), transport: "ws" });
  const pair: Pair = { backends, near, clients, expected: 0 };
  // Nodes that have just started are compiling still.
  await paced(plan, drivers, pair, { figures: busy, perSecond: 2000, to: users, round: 0 });
  for (let round = 1; round <= plan.rounds; round++) {
    await paced(plan, drivers, pair, { figures: quiet, perSecond: 100, to: users, round });
    await paced(plan, drivers, pair, { figures: narrow, perSecond: 1000, to: users.slice(0, 1), round });
    await paced(plan, drivers, pair, { figures: busy, perSecond: 1000, to: users, round });
  }
  const ages: Table = [
    [`publish on one node, receive on another: ${name}`, "p50, ms", "p99, ms"],
    ...[bare, quiet, bareBusy, narrow, busy].map(({ cells }) => cells),
  ];
  const targets = targetsOf(name, busy);
  // How commands are shared is the same on both.
  return { tables: kind === "ferretdb" ? [ages] : [ages, await workTable(pair, drivers, plan)], targets };
}

function targetsOf(where: string, { p50, p99 }: Ages): Target[] {
  const what = `publish to receive on another node, 1,000 a second, ${where}`;
  const common = { sense: "at most", unit: " ms" } as const;
  return [
    { ...common, what: `${what}: p50`, limit: 5, measured: p50.median },
    { ...common, what: `${what}: p99`, limit: 50, measured: p99.median },
  ];
}

async function bareRuns(
  { rounds, nodesMs }: Plan,
  { urls }: Backends,
  rows: readonly (readonly [Ages, perSecond: number])[],
): Promise<void> {
  await using driver = new Child("drivers/bare-backends.ts");
  await driver.ask("open", urls);
  for (let round = 0; round <= rounds; round++) {
    for (const [figures, perSecond] of rows) {
      const pace: BarePace = { perSecond, milliseconds: nodesMs / 2 };
      figures.add(round, undefined, new Histogram(await driver.ask<number[]>("pace", pace)));
    }
  }
}

/** One run. */
interface Run {
  readonly figures: Ages;
  readonly perSecond: number;
  /** Users, in turn. */
  readonly to: readonly string[];
  readonly round: number;
}

async function paced({ nodesMs: milliseconds }: Plan, { callers }: Drivers, pair: Pair, run: Run): Promise<void> {
  const { near, clients } = pair;
  const { figures, perSecond, to, round } = run;
  const token = await serviceToken();
  const requests = to.map((user) => rawRequest("Publish", token, publishBody(publishTo({ user }))));
  const { invalid } = await callers.pace({ port: near.port, requests, connections, milliseconds, perSecond });
  pair.expected += Math.round((milliseconds * perSecond) / 1000);
  figures.add(round, invalid ?? (await clients.missing(pair.expected)), await clients.times());
}

/** How messages share commands. */
async function workTable(pair: Pair, { callers }: Drivers, { sliceMs }: Plan): Promise<Table> {
  const { near } = pair;
  const token = await serviceToken();
  const ada = rawRequest("Publish", token, publishBody(publishTo({ user: "ada" })));
  const load = { port: near.port, connections, milliseconds: sliceMs };
  const batch = async (audience: (index: number) => string) => {
    const body = batchBody(Array.from({ length: inBatch }, (_, index) => publishTo({ user: audience(index) })));
    for (let times = 0; times < batches; times++) await near.call("PublishBatch", body);
  };
  return [
    [
      "what shares a command",
      "messages an insert",
      "messages a PUBLISH",
      "Redis commands a message",
      "Redis commands a read of it",
    ],
    ["1 caller, one feed", ...(await workOf(pair, () => callers.load({ ...load, requests: [ada], connections: 1 })))],
    ["50 callers, one feed", ...(await workOf(pair, () => callers.load({ ...load, requests: [ada] })))],
    ["batches of 1,000, one feed", ...(await workOf(pair, () => batch(() => "ada")))],
    ["batches of 1,000, 1,000 feeds", ...(await workOf(pair, () => batch((index) => `user ${index}`)))],
  ];
}

async function workOf({ near, backends }: Pair, work: () => Promise<unknown>): Promise<string[]> {
  const [store, redis] = [await near.child.ask<StoreFigures>("figures"), await backends.redis()];
  await work();
  const [storeAfter, redisAfter] = [await near.child.ask<StoreFigures>("figures"), await backends.redis()];
  const messages = storeAfter.messages - store.messages;
  const inserts = storeAfter.writes - store.writes;
  const publishes = redisAfter.publishes - redis.publishes;
  const commands = redisAfter.commands - redis.commands;
  const reads = redisAfter.reads - redis.reads;
  return [messages / inserts, messages / publishes, commands / messages, commands / reads].map(plain);
}
