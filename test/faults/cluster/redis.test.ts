import { expect } from "vitest";
import { testWith } from "../../support/require.ts";
import { percentile } from "../figures.ts";
import { report } from "../report.ts";
import { size, times } from "../size.ts";
import { clusterTools } from "./cluster.ts";
import { DeliveryTimes, type Period } from "./delivery-times.ts";
import { errorsIn } from "./log-errors.ts";
import { figuresOf, type LoadedCluster, runClusters } from "./parallel-clusters.ts";

const kills = times(3, 50);
const pauses = times(2, 20);
const pauseMs = size(4_000, 60_000);
const flushes = times(2, 20);

type Fault = (cluster: LoadedCluster) => Promise<void>;

/** Kills Redis and restarts it, empty, after up to some seconds. */
const kill: Fault = async ({ cluster: { redis }, load: { publishers }, random }) => {
  await redis.kill();
  await publishers.during(random.between(100, size(1_500, 5_000)));
  await redis.start();
};

/** Pauses the process of Redis: its connections stay open, but it does not respond. */
const pauseProcess: Fault = async ({ cluster: { redis }, load: { publishers } }) => {
  const resume = redis.freeze();
  await publishers.during(pauseMs);
  resume();
};

/** Pauses the clients of Redis: it reads their commands, but does not execute them. */
const pauseClients: Fault = async ({ cluster: { redis }, load: { publishers } }) => {
  await redis.call("CLIENT", "PAUSE", String(pauseMs), "ALL");
  await publishers.during(pauseMs);
};

const flush: Fault = async ({ cluster: { redis } }) => {
  await redis.call("FLUSHALL");
};

const faults = [
  ...Array.from({ length: pauses }, (_, index) => (index % 2 === 0 ? pauseProcess : pauseClients)),
  ...Array<Fault>(kills).fill(kill),
  ...Array<Fault>(flushes).fill(flush),
];

testWith(...clusterTools("memory"))(
  `Nodes whose Redis is killed ${kills} times, paused ${pauses} times for ${pauseMs / 1000} s and flushed ${flushes} times under load keep answering publishes and lose nothing`,
  async () => {
    const down = new Map<LoadedCluster["cluster"], Period[]>();
    const outcomes = await runClusters(
      {
        store: () => "memory",
        load: size({ users: 20, pages: 3, perSecond: 50 }, { users: 30, pages: 3, perSecond: 40, shareForAll: 0.03 }),
        clusters: size(1, 3),
        faults,
      },
      async (loaded, fault) => {
        const from = performance.now();
        await fault(loaded);
        const period = { from, to: performance.now() };
        down.set(loaded.cluster, [...(down.get(loaded.cluster) ?? []), period]);
      },
    );
    const always = [{ from: 0, to: Number.POSITIVE_INFINITY }];
    const deliveries = outcomes.map(({ history, cluster }) => ({
      times: new DeliveryTimes(history),
      down: down.get(cluster) ?? [],
    }));
    const tookMs = deliveries.flatMap(({ times }) => times.within(always));
    const downMs = deliveries.flatMap(({ times, down }) => times.within(down));
    const calls = outcomes.reduce((sum, { load }) => sum + load.publishers.calls, 0);
    const failures = outcomes.reduce((sum, { load }) => sum + load.publishers.failures.length, 0);
    const p99Ms = Math.round(percentile(downMs, 0.99));
    report("redis", {
      "Redis killed": kills,
      [`Redis paused for ${pauseMs / 1000} s`]: pauses,
      "Redis flushed": flushes,
      ...figuresOf(outcomes),
      "publish calls": calls,
      "calls that succeeded, %": (100 * (1 - failures / calls)).toFixed(3),
      "delivery, p50, ms": Math.round(percentile(tookMs, 0.5)),
      "deliveries while Redis was down": downMs.length,
      "delivery while Redis was down, p50, ms": Math.round(percentile(downMs, 0.5)),
      "delivery while Redis was down, p99, ms": p99Ms,
    });
    expect.soft(failures / calls).toBeLessThanOrEqual(0.001);
    expect.soft(p99Ms).toBeLessThanOrEqual(3_000);
    // Without Redis no stream may end.
    expect.soft(outcomes.flatMap(({ breaks }) => breaks).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ findings }) => findings).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ clientErrors }) => clientErrors).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ cluster }) => errorsIn(cluster.log)).slice(0, 5)).toEqual([]);
  },
);
