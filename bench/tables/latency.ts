import { Ages } from "../ages.ts";
import { rawRequest } from "../drivers/raw-caller.ts";
import type { Drivers } from "../drivers.ts";
import { Histogram } from "../histogram.ts";
import { publishBody, publishTo } from "../message.ts";
import type { Plan } from "../plan.ts";
import { RealClients } from "../real-clients.ts";
import type { Section } from "../section.ts";
import { TidingsServer } from "../servers.ts";
import type { SubscriberGroup } from "../subscribers.ts";
import type { Table } from "../table.ts";
import { serviceToken } from "../tokens.ts";

/** Each message goes to every tenth subscriber: they are spread over so many tenants, which get messages in turn. */
const tenants = Array.from({ length: 10 }, (_, index) => `tenant-${index}`);
/** Publishes under way at once, at most. */
const connections = 50;
/** What arrives later is lost. */
const patienceMs = 10_000;

/** How old a durable message is when a client gets it: on a quiet server, and on a busy one. */
export async function latency(plan: Plan, drivers: Drivers): Promise<Section> {
  const quiet = new Ages("quiet: 100 a second to one user, real client, ws");
  const busy = new Ages(
    `busy: 1,000 a second, ${plan.subscribers} subscribers, each gets every tenth: real clients, ws`,
  );
  const raw = new Ages("the same: raw sockets, ws");
  await quietRuns(plan, drivers, quiet);
  await busyRuns(plan, drivers, busy, raw);
  const head = ["publish to receive, durable", "p50, ms", "p99, ms"];
  const table: Table = [head, ...[quiet, busy, raw].map(({ cells }) => cells)];
  const measured = busy.p99.median;
  const what = "publish to receive, 1,000 a second, p99";
  return { tables: [table], targets: [{ what, sense: "at most", limit: 20, measured, unit: " ms" }] };
}

async function quietRuns(plan: Plan, { callers }: Drivers, figures: Ages): Promise<void> {
  await using clients = new RealClients();
  await using tidings = await TidingsServer.start();
  await clients.open({ port: tidings.port, users: [{ user: "ada", tenant: "acme" }], transport: "ws" });
  const requests = [rawRequest("Publish", await serviceToken(), publishBody(publishTo({ user: "ada" })))];
  let expected = 0;
  for (let round = 0; round <= plan.rounds; round++) {
    const milliseconds = plan.latencyMs / 2;
    const run = await callers.pace({ port: tidings.port, requests, connections, milliseconds, perSecond: 100 });
    expected += Math.round(milliseconds / 10);
    figures.add(round, run.invalid ?? (await clients.missing(expected)), await clients.times());
  }
}

async function busyRuns(plan: Plan, { callers, subscribers }: Drivers, real: Ages, raw: Ages): Promise<void> {
  await using clients = new RealClients();
  await using tidings = await TidingsServer.start();
  const { port } = tidings;
  const users = tenants.map((tenant) => ({ user: "real", tenant }));
  await clients.open({ port, users, transport: "ws" });
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
    const lost = await clients.missing(each * tenants.length);
    const rawLost = await lostOf(groups, each);
    real.add(round, run.invalid ?? lost, await clients.times());
    const times = new Histogram();
    for (const group of groups) times.merge(await group.times());
    raw.add(round, run.invalid ?? rawLost, times);
    await subscribers.sayAlive();
  }
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
