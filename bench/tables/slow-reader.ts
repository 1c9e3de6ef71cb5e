import type { Callers, CallRun } from "../callers.ts";
import { rawRequest } from "../drivers/raw-caller.ts";
import type { Drivers } from "../drivers.ts";
import { Figure, plain } from "../figure.ts";
import { markedText, publishBody, publishTo } from "../message.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../section.ts";
import { TidingsServer } from "../servers.ts";
import type { SubscriberGroup, Subscribers } from "../subscribers.ts";
import { benchTenant, serviceToken } from "../tokens.ts";

/** Of the messages that flow past the slow reader. */
const bulkBytes = 60_000;
/** Messages to the whole tenant; the others' latency is measured on these. */
const broadcastsPerSecond = 20;
/** WebSocket servers cut who does not answer their pings. */
const aliveMs = 10_000;
const mebibyte = 2 ** 20;
/** Longer than any run: a reader that stops for longer than stallMs is cut, and would cost nothing. */
const stallMs = 3_600_000;

interface Run {
  /** Of the fast subscribers, in ms. */
  readonly p99: number;
  /** Server RSS, in MiB. */
  readonly growth: number;
  readonly invalid: string | undefined;
}

interface Scene {
  readonly plan: Plan;
  readonly tidings: TidingsServer;
  readonly subscribers: Subscribers;
  readonly fast: SubscriberGroup;
  /** One process for each, so that large messages do not hold up small ones. */
  readonly broadcasts: Callers;
  readonly bulk: Callers;
  /** Messages that each fast subscriber has got. */
  sent: number;
}

/** One subscriber of a tenant stops reading while much is published to it; what the others and the server's memory notice. */
export async function slowReader(plan: Plan, drivers: Drivers): Promise<Section> {
  const { subscribers, callers: bulk, otherCallers: broadcasts } = drivers;
  await using tidings = await TidingsServer.start({ stallMs });
  const open = { family: "tidings-ws", port: tidings.port } as const;
  const fast = await subscribers.open({ ...open, count: plan.subscribers, stamped: true });
  const scene: Scene = { plan, tidings, subscribers, fast, broadcasts, bulk, sent: 0 };
  const without = { p99: new Figure(), growth: new Figure() };
  const beside = { p99: new Figure(), growth: new Figure() };
  const warmUp = { ...plan, slowMs: Math.min(plan.slowMs, 2500), slowBytes: Math.min(plan.slowBytes, 5e6) };
  await run({ ...scene, plan: warmUp }, scene);
  for (let round = 0; round < plan.slowRounds; round++) {
    add(without, await run(scene, scene));
    const slow = await subscribers.open({ ...open, count: 1, prefix: "slow-" });
    await slow.pause(true);
    const measured = await run(scene, scene);
    await slow.pause(false);
    add(beside, { ...measured, invalid: measured.invalid ?? (await missed(scene, slow)) });
    await slow.close();
  }
  const seconds = plain(plan.slowMs / 1000);
  const flow = `${plain(plan.slowBytes / 1e6)} MB in ${seconds} s`;
  return {
    tables: [
      [
        [
          `one reader of ${plan.subscribers + 1} stopped, ${flow} for it`,
          "the others' p99, ms",
          "server RSS grew by, MiB",
        ],
        ["everybody reads", without.p99.text(plain), without.growth.text(plain)],
        ["one has stopped", beside.p99.text(plain), beside.growth.text(plain)],
      ],
    ],
    targets: [
      {
        what: `one reader stopped for ${seconds} s: RSS grows for it by`,
        sense: "at most",
        limit: 1,
        measured: beside.growth.median - without.growth.median,
        unit: " MiB",
      },
      {
        what: `one reader stopped for ${seconds} s: the others' p99, with it / without`,
        sense: "at most",
        limit: 1.2,
        measured: beside.p99.median / without.p99.median,
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

/** The same is published whether or not the slow one is there. `counter` keeps what was sent. */
async function run({ plan, tidings, subscribers, fast, broadcasts, bulk }: Scene, counter: Scene): Promise<Run> {
  const { port } = tidings;
  const token = await serviceToken();
  const small = rawRequest("Publish", token, publishBody(publishTo({ tenant: benchTenant })));
  const large = rawRequest("Publish", token, publishBody(publishTo({ user: "slow-0" }, markedText(bulkBytes))));
  const pace = { port, connections: 4, milliseconds: plan.slowMs };
  const bulkPerSecond = bulkCount(plan) / (plan.slowMs / 1000);
  await fast.times();
  const before = await tidings.child.rss();
  const alive = setInterval(() => void subscribers.sayAlive().catch(() => {}), aliveMs);
  const runs = await Promise.all([
    broadcasts.pace({ ...pace, requests: [small], perSecond: broadcastsPerSecond }),
    bulk.pace({ ...pace, requests: [large], perSecond: bulkPerSecond }),
  ]).finally(() => clearInterval(alive));
  counter.sent += broadcastCount(plan);
  const lost = await arrived(fast, counter.sent);
  const growth = ((await tidings.child.rss()) - before) / mebibyte;
  const invalid = runs.map((call: CallRun) => call.invalid).find((reason) => reason !== undefined) ?? lost;
  return { p99: (await fast.times()).percentile(0.99), growth, invalid };
}

/** What the slow one got once it read again, if not all. */
function missed({ plan }: Scene, slow: SubscriberGroup): Promise<string | undefined> {
  return arrived(slow, broadcastCount(plan) + bulkCount(plan));
}

async function arrived(group: SubscriberGroup, each: number): Promise<string | undefined> {
  try {
    await group.until(each);
    await group.check(each);
    return undefined;
  } catch (error) {
    return (error as Error).message.split("\n", 1)[0];
  }
}

function broadcastCount({ slowMs }: Plan): number {
  return Math.round((broadcastsPerSecond * slowMs) / 1000);
}

function bulkCount({ slowBytes }: Plan): number {
  return Math.round(slowBytes / bulkBytes);
}
