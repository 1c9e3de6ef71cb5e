import { Child } from "../child.ts";
import { rawRequest } from "../drivers/raw-caller.ts";
import type { OpenClients } from "../drivers/real-clients.ts";
import type { Drivers } from "../drivers.ts";
import { Figure, plain } from "../figure.ts";
import { Histogram } from "../histogram.ts";
import { publishBody, publishTo } from "../message.ts";
import type { Plan } from "../plan.ts";
import type { Section, Table } from "../section.ts";
import { TidingsServer } from "../servers.ts";
import type { SubscriberGroup } from "../subscribers.ts";
import { serviceToken } from "../tokens.ts";

/** Each message goes to every tenth subscriber: they are spread over so many tenants, which get messages in turn. */
const tenants = Array.from({ length: 10 }, (_, index) => `tenant-${index}`);
/** Publishes under way at once, at most. */
const connections = 50;
/** What arrives later is lost. */
const patienceMs = 10_000;

/** From publishing to a message in the hands of a client. */
interface Row {
  readonly name: string;
  readonly p50: Figure;
  readonly p99: Figure;
}

/** How old a durable message is when a client gets it: on a quiet server, and on a busy one. */
export async function latency(plan: Plan, drivers: Drivers): Promise<Section> {
  const quiet = [row("quiet: 100 a second to one user, real client, ws")];
  const busy = [
    row(`busy: 1,000 a second, ${plan.subscribers} subscribers, each gets every tenth: real clients, ws`),
    row("the same: raw sockets, ws"),
  ];
  await quietRuns(plan, drivers, quiet[0] as Row);
  await busyRuns(plan, drivers, busy[0] as Row, busy[1] as Row);
  const table: Table = [
    ["publish to receive, durable", "p50, ms", "p99, ms"],
    ...[...quiet, ...busy].map(({ name, p50, p99 }) => [name, p50.text(plain), p99.text(plain)]),
  ];
  const measured = busy[0]?.p99.median ?? Number.NaN;
  const what = "publish to receive, 1,000 a second, p99";
  return { tables: [table], targets: [{ what, sense: "at most", limit: 20, measured, unit: " ms" }] };
}

function row(name: string): Row {
  return { name, p50: new Figure(), p99: new Figure() };
}

async function quietRuns(plan: Plan, { callers }: Drivers, figures: Row): Promise<void> {
  await using clients = new Child("drivers/real-clients.ts");
  await using tidings = await TidingsServer.start();
  await openClients(clients, { port: tidings.port, users: [{ user: "ada", tenant: "acme" }], transport: "ws" });
  const requests = [rawRequest("Publish", await serviceToken(), publishBody(publishTo({ user: "ada" })))];
  let expected = 0;
  for (let round = 0; round <= plan.rounds; round++) {
    const milliseconds = plan.latencyMs / 2;
    const run = await callers.pace({ port: tidings.port, requests, connections, milliseconds, perSecond: 100 });
    expected += Math.round(milliseconds / 10);
    add(figures, round, run.invalid ?? (await missing(clients, expected)), await timesOf(clients));
  }
}

async function busyRuns(plan: Plan, { callers, subscribers }: Drivers, real: Row, raw: Row): Promise<void> {
  await using clients = new Child("drivers/real-clients.ts");
  await using tidings = await TidingsServer.start();
  const { port } = tidings;
  const users = tenants.map((tenant) => ({ user: "real", tenant }));
  await openClients(clients, { port, users, transport: "ws" });
  // The real clients are subscribers as well.
  const count = plan.subscribers / tenants.length - 1;
  const groups: SubscriberGroup[] = [];
  for (const tenant of tenants) {
    groups.push(await subscribers.open({ family: "tidings-ws", port, count, tenant, stamped: true }));
  }
  const token = await serviceToken();
  const requests = tenants.map((tenant) => rawRequest("Publish", token, publishBody(publishTo({ tenant }))));
  let each = 0;
  for (let round = 0; round <= plan.rounds; round++) {
    const milliseconds = plan.latencyMs;
    const run = await callers.pace({ port, requests, connections, milliseconds, perSecond: 1000 });
    each += milliseconds / tenants.length;
    const lost = await missing(clients, each * tenants.length);
    const rawLost = await lostOf(groups, each);
    add(real, round, run.invalid ?? lost, await timesOf(clients));
    const times = new Histogram();
    for (const group of groups) times.merge(await group.times());
    add(raw, round, run.invalid ?? rawLost, times);
    await subscribers.sayAlive();
  }
}

/** The first round warms up. */
function add({ p50, p99 }: Row, round: number, invalid: string | undefined, times: Histogram): void {
  if (round === 0) return;
  if (invalid === undefined) {
    p50.add(times.percentile(0.5));
    p99.add(times.percentile(0.99));
    return;
  }
  p50.reject(invalid);
  p99.reject(invalid);
}

async function openClients(clients: Child, spec: OpenClients): Promise<void> {
  await clients.ask("open", spec);
}

async function timesOf(clients: Child): Promise<Histogram> {
  return new Histogram(await clients.ask<number[]>("times"));
}

/** Waits for so many messages; says so when they do not come, or more do. */
async function missing(clients: Child, expected: number): Promise<string | undefined> {
  const end = performance.now() + patienceMs;
  let received = await clients.ask<number>("received");
  while (received < expected && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    received = await clients.ask<number>("received");
  }
  return received === expected ? undefined : `${received} messages instead of ${expected}`;
}

async function lostOf(groups: readonly SubscriberGroup[], each: number): Promise<string | undefined> {
  try {
    for (const group of groups) {
      await group.until(each, patienceMs);
      await group.check(each);
    }
    return undefined;
  } catch (error) {
    return (error as Error).message.split("\n", 1)[0];
  }
}
