import { expect } from "vitest";
import { testWith } from "../../support/require.ts";
import { percentile } from "../figures.ts";
import { report } from "../report.ts";
import { size, times } from "../size.ts";
import { clusterTools } from "./cluster.ts";
import { Deliveries, type Period } from "./deliveries.ts";
import { figuresOf, type Lane, runLanes } from "./lanes.ts";
import { errorsIn } from "./log.ts";

const kills = times(3, 50);
const pauses = times(2, 20);
const pauseMs = size(4_000, 60_000);
const flushes = times(2, 20);

type Fault = (lane: Lane) => Promise<void>;

/** Redis is gone for up to some seconds, and comes back empty. */
const kill: Fault = async ({ cluster: { redis }, load: { publishers }, dice }) => {
  await redis.kill();
  await publishers.during(dice.between(100, size(1_500, 5_000)));
  await redis.start();
};

/** Redis keeps its connections, and answers nothing: its process stands still. */
const freeze: Fault = async ({ cluster: { redis }, load: { publishers } }) => {
  const thaw = redis.freeze();
  await publishers.during(pauseMs);
  thaw();
};

/** The same from inside: Redis reads, and holds its clients back. */
const hold: Fault = async ({ cluster: { redis }, load: { publishers } }) => {
  await redis.call("CLIENT", "PAUSE", String(pauseMs), "ALL");
  await publishers.during(pauseMs);
};

const flush: Fault = async ({ cluster: { redis } }) => {
  await redis.call("FLUSHALL");
};

const faults = [
  ...Array.from({ length: pauses }, (_, index) => (index % 2 === 0 ? freeze : hold)),
  ...Array<Fault>(kills).fill(kill),
  ...Array<Fault>(flushes).fill(flush),
];

testWith(...clusterTools("memory"))(
  `Redis is killed ${kills} times, stands still ${pauses} times for ${pauseMs / 1000} s, and is emptied ${flushes} times under load`,
  async () => {
    const down = new Map<Lane["cluster"], Period[]>();
    const outcomes = await runLanes(
      {
        store: () => "memory",
        load: size({ users: 20, pages: 3, perSecond: 50 }, { users: 30, pages: 3, perSecond: 40, shareForAll: 0.03 }),
        clusters: size(1, 3),
        faults,
      },
      async (lane, fault) => {
        const from = performance.now();
        await fault(lane);
        const period = { from, to: performance.now() };
        down.set(lane.cluster, [...(down.get(lane.cluster) ?? []), period]);
      },
    );
    const whole = [{ from: 0, to: Number.POSITIVE_INFINITY }];
    const deliveries = outcomes.map(({ history, cluster }) => ({
      all: new Deliveries(history),
      down: down.get(cluster) ?? [],
    }));
    const tookMs = deliveries.flatMap(({ all }) => all.within(whole));
    const downMs = deliveries.flatMap(({ all, down }) => all.within(down));
    const calls = outcomes.reduce((sum, { load }) => sum + load.publishers.calls, 0);
    const failures = outcomes.reduce((sum, { load }) => sum + load.publishers.failures.length, 0);
    const p99Ms = Math.round(percentile(downMs, 0.99));
    report("redis", {
      "Redis killed": kills,
      [`Redis paused for ${pauseMs / 1000} s`]: pauses,
      "Redis emptied": flushes,
      ...figuresOf(outcomes),
      "publish calls": calls,
      "calls that succeeded, %": (100 * (1 - failures / calls)).toFixed(3),
      "delivery p50 ms": Math.round(percentile(tookMs, 0.5)),
      "deliveries while Redis was down": downMs.length,
      "delivery p50 ms, Redis down": Math.round(percentile(downMs, 0.5)),
      "delivery p99 ms, Redis down": p99Ms,
    });
    expect.soft(failures / calls).toBeLessThanOrEqual(0.001);
    expect.soft(p99Ms).toBeLessThanOrEqual(3_000);
    // A Redis that is away is no reason to end a stream.
    expect.soft(outcomes.flatMap(({ breaks }) => breaks).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ findings }) => findings).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ upsets }) => upsets).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ cluster }) => errorsIn(cluster.log)).slice(0, 5)).toEqual([]);
  },
);
