import type { Drivers } from "../drivers/drivers.ts";
import { RealClients } from "../drivers/real-clients.ts";
import type { SubscriberGroup } from "../drivers/subscribers.ts";
import { Histogram } from "../measure/histogram.ts";
import { LatencyFigures } from "../measure/latency-figures.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../report/section.ts";
import type { Table } from "../report/table.ts";
import { TidingsServer } from "../servers/servers.ts";
import { rawRequest } from "../sockets/raw-caller.ts";
import { publishBody, publishTo } from "../workload/message.ts";
import { serviceToken } from "../workload/tokens.ts";

/** Each message goes to a tenth of the subscribers: they are spread over these tenants, which get messages round-robin. */
const tenants = Array.from({ length: 10 }, (_, index) => `tenant-${index}`);
/** The maximum number of publishes in flight. */
const connections = 50;
/** A message that has not arrived after this time counts as lost, in ms. */
const lossTimeoutMs = 10_000;

/** Measures the latency of durable messages on a quiet server and on a busy one. */
export async function latency(plan: Plan, drivers: Drivers): Promise<Section> {
  const quiet = new LatencyFigures("quiet: 100 a second to one user, real client, ws");
  const busy = new LatencyFigures(
    `busy: 1,000 a second, ${plan.subscribers} subscribers, each gets every tenth: real clients, ws`,
  );
  const raw = new LatencyFigures("the same: raw sockets, ws");
  await quietRuns(plan, drivers, quiet);
  await busyRuns(plan, drivers, busy, raw);
  const header = ["publish to receive, durable", "p50, ms", "p99, ms"];
  const table: Table = [header, ...[quiet, busy, raw].map(({ cells }) => cells)];
  const measured = busy.p99.median;
  const name = "publish to receive, 1,000 a second, p99";
  return { tables: [table], targets: [{ name, bound: "at most", limit: 20, measured, unit: " ms" }] };
}

async function quietRuns(plan: Plan, { callers }: Drivers, figures: LatencyFigures): Promise<void> {
  await using clients = new RealClients();
  await using tidings = await TidingsServer.start();
  await clients.open({ port: tidings.port, users: [{ user: "ada", tenant: "acme" }], transport: "ws" });
  const requests = [rawRequest("Publish", await serviceToken(), publishBody(publishTo({ user: "ada" })))];
  let expected = 0;
  for (let round = 0; round <= plan.rounds; round++) {
    const durationMs = plan.latencyMs / 2;
    const run = await callers.openLoop({ port: tidings.port, requests, connections, durationMs, perSecond: 100 });
    expected += Math.round(durationMs / 10);
    figures.add(round, run.invalid ?? (await clients.findLoss(expected)), await clients.times());
  }
}

async function busyRuns(
  plan: Plan,
  { callers, subscribers }: Drivers,
  real: LatencyFigures,
  raw: LatencyFigures,
): Promise<void> {
  await using clients = new RealClients();
  await using tidings = await TidingsServer.start();
  const { port } = tidings;
  const users = tenants.map((tenant) => ({ user: "real", tenant }));
  await clients.open({ port, users, transport: "ws" });
  // The real clients are subscribers as well.
  const count = plan.subscribers / tenants.length - 1;
  const groups: SubscriberGroup[] = [];
  for (const tenant of tenants) {
    groups.push(await subscribers.open({ protocol: "tidings-ws", port, count, tenant, stamped: true }));
  }
  const token = await serviceToken();
  const requests = tenants.map((tenant) => rawRequest("Publish", token, publishBody(publishTo({ tenant }))));
  let each = 0;
  for (let round = 0; round <= plan.rounds; round++) {
    const durationMs = plan.latencyMs;
    const run = await callers.openLoop({ port, requests, connections, durationMs, perSecond: 1000 });
    each += durationMs / tenants.length;
    const loss = await clients.findLoss(each * tenants.length);
    const rawLoss = await findLoss(groups, each);
    real.add(round, run.invalid ?? loss, await clients.times());
    const times = new Histogram();
    for (const group of groups) times.merge(await group.times());
    raw.add(round, run.invalid ?? rawLoss, times);
  }
}

/** The first loss in any of the groups. */
async function findLoss(groups: readonly SubscriberGroup[], each: number): Promise<string | undefined> {
  for (const group of groups) {
    const loss = await group.findLoss(each, lossTimeoutMs);
    if (loss !== undefined) return loss;
  }
  return undefined;
}
