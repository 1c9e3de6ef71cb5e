import type { Callers } from "../drivers/callers.ts";
import type { Drivers } from "../drivers/drivers.ts";
import type { SubscriberGroup, Subscribers } from "../drivers/subscribers.ts";
import { Figure, formatNumber } from "../measure/figure.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../report/section.ts";
import { TidingsServer } from "../servers/servers.ts";
import { rawRequest } from "../sockets/raw-caller.ts";
import { markedText, publishBody, publishTo } from "../workload/message.ts";
import { benchTenant, serviceToken } from "../workload/tokens.ts";

/** Size of a message to the slow reader. */
const bulkBytes = 60_000;
/** Rate of the messages to the whole tenant. The latency of the other subscribers is measured on these. */
const broadcastsPerSecond = 20;
const mebibyte = 2 ** 20;
/** Longer than any run: a reader that stops for longer than this is closed and would then cost nothing. */
const stallMs = 3_600_000;

interface Run {
  /** Latency of the fast subscribers, in ms. */
  readonly p99: number;
  /** Growth of the server's RSS, in MiB. */
  readonly growth: number;
  readonly invalid: string | undefined;
}

interface Setup {
  readonly plan: Plan;
  readonly tidings: TidingsServer;
  readonly subscribers: Subscribers;
  readonly fast: SubscriberGroup;
  /** Small and large messages have a process each, so that small ones do not queue behind large ones. */
  readonly broadcasts: Callers;
  readonly bulk: Callers;
  /** Messages that each fast subscriber has received. */
  sent: number;
}

/** Measures what one subscriber that stops reading costs: the latency of all others and the memory of the server. */
export async function slowReader(plan: Plan, drivers: Drivers): Promise<Section> {
  const { subscribers, callers: bulk, otherCallers: broadcasts } = drivers;
  await using tidings = await TidingsServer.start({ stallMs });
  const open = { protocol: "tidings-ws", port: tidings.port } as const;
  const fast = await subscribers.open({ ...open, count: plan.subscribers, stamped: true });
  const setup: Setup = { plan, tidings, subscribers, fast, broadcasts, bulk, sent: 0 };
  const without = { p99: new Figure(), growth: new Figure() };
  const withSlow = { p99: new Figure(), growth: new Figure() };
  const warmUp = {
    ...plan,
    slowReaderMs: Math.min(plan.slowReaderMs, 2500),
    slowReaderBytes: Math.min(plan.slowReaderBytes, 5e6),
  };
  await run({ ...setup, plan: warmUp }, setup);
  for (let round = 0; round < plan.slowReaderRounds; round++) {
    add(without, await run(setup, setup));
    const slow = await subscribers.open({ ...open, count: 1, prefix: "slow-" });
    await slow.pause(true);
    const measured = await run(setup, setup);
    await slow.pause(false);
    const loss = await slow.findLoss(broadcastCount(plan) + bulkCount(plan));
    add(withSlow, { ...measured, invalid: measured.invalid ?? loss });
    await slow.close();
  }
  const seconds = formatNumber(plan.slowReaderMs / 1000);
  const flow = `${formatNumber(plan.slowReaderBytes / 1e6)} MB in ${seconds} s`;
  return {
    tables: [
      [
        [
          `${plan.subscribers} readers and a slow one, which is sent ${flow}`,
          "p99 of the others, ms",
          "growth of server RSS, MiB",
        ],
        ["all readers read", without.p99.text(formatNumber), without.growth.text(formatNumber)],
        ["the slow reader has stopped", withSlow.p99.text(formatNumber), withSlow.growth.text(formatNumber)],
      ],
    ],
    targets: [
      {
        name: `one reader stopped for ${seconds} s: growth of server RSS`,
        bound: "at most",
        limit: 1,
        measured: withSlow.growth.median - without.growth.median,
        unit: " MiB",
      },
      {
        name: `one reader stopped for ${seconds} s: p99 of the others, with / without it`,
        bound: "at most",
        limit: 1.2,
        measured: withSlow.p99.median / without.p99.median,
        unit: " ×",
      },
    ],
  };
}

function add(figures: { p99: Figure; growth: Figure }, { p99, growth, invalid }: Run): void {
  if (invalid === undefined) {
    figures.p99.add(p99);
    figures.growth.add(growth);
    return;
  }
  figures.p99.reject(invalid);
  figures.growth.reject(invalid);
}

/** One run, which publishes the same messages with and without the slow reader. `counter` keeps the number of messages. */
async function run({ plan, tidings, fast, broadcasts, bulk }: Setup, counter: Setup): Promise<Run> {
  const { port } = tidings;
  const token = await serviceToken();
  const small = rawRequest("Publish", token, publishBody(publishTo({ tenant: benchTenant })));
  const large = rawRequest("Publish", token, publishBody(publishTo({ user: "slow-0" }, markedText(bulkBytes))));
  const load = { port, connections: 4, durationMs: plan.slowReaderMs };
  const bulkPerSecond = bulkCount(plan) / (plan.slowReaderMs / 1000);
  await fast.times();
  const before = await tidings.child.rss();
  const runs = await Promise.all([
    broadcasts.openLoop({ ...load, requests: [small], perSecond: broadcastsPerSecond }),
    bulk.openLoop({ ...load, requests: [large], perSecond: bulkPerSecond }),
  ]);
  counter.sent += broadcastCount(plan);
  const loss = await fast.findLoss(counter.sent);
  const growth = ((await tidings.child.rss()) - before) / mebibyte;
  const invalid = runs.map((call) => call.invalid).find((reason) => reason !== undefined) ?? loss;
  return { p99: (await fast.times()).percentile(0.99), growth, invalid };
}

function broadcastCount({ slowReaderMs }: Plan): number {
  return Math.round((broadcastsPerSecond * slowReaderMs) / 1000);
}

function bulkCount({ slowReaderBytes }: Plan): number {
  return Math.round(slowReaderBytes / bulkBytes);
}
