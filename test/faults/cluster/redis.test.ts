import { expect, test } from "vitest";
import { table } from "../figures.ts";
import { Dice, size } from "../size.ts";
import { Cluster, canRun } from "./cluster.ts";
import { Deliveries, type Period } from "./deliveries.ts";
import { Load } from "./load.ts";
import { errorsIn } from "./log.ts";

const kills = size(3, 50);
const pauses = size(2, 20);
const pauseMs = size(4_000, 60_000);
const flushes = size(2, 20);

type Fault = (cluster: Cluster, load: Load, dice: Dice) => Promise<void>;

/** Redis is gone for up to some seconds, and comes back empty. */
const kill: Fault = async ({ redis }, { publishers }, dice) => {
  await redis.kill();
  await publishers.during(dice.between(100, size(1_500, 5_000)));
  await redis.start();
};

/** Redis keeps its connections, and answers nothing: the process stands still, or holds its clients back. */
const pause: Fault = async ({ redis }, { publishers }, dice) => {
  if (dice.fraction() < 0.5) {
    const thaw = redis.freeze();
    await publishers.during(pauseMs);
    thaw();
    return;
  }
  await redis.call("CLIENT", "PAUSE", String(pauseMs), "ALL");
  await publishers.during(pauseMs);
};

const flush: Fault = async ({ redis }) => {
  await redis.call("FLUSHALL");
};

test.skipIf(!canRun("memory"))(
  `Redis is killed ${kills} times, stands still ${pauses} times for ${pauseMs / 1000} s, and is emptied ${flushes} times under load`,
  async () => {
    const dice = new Dice();
    const cluster = await Cluster.open({ store: "memory" });
    let load: Load | undefined;
    try {
      load = await Load.start(
        cluster,
        size({ users: 20, pages: 3, perSecond: 50 }, { users: 50, pages: 3, perSecond: 100 }),
      );
      const down: Period[] = [];
      const faults = [
        ...Array<Fault>(kills).fill(kill),
        ...Array<Fault>(pauses).fill(pause),
        ...Array<Fault>(flushes).fill(flush),
      ];
      while (faults.length > 0) {
        await load.publishers.during(dice.between(500, 2_000));
        const [fault] = faults.splice(Math.floor(dice.fraction() * faults.length), 1);
        const from = performance.now();
        await fault?.(cluster, load, dice);
        down.push({ from, to: performance.now() });
      }
      const streams = load.streams;
      const { history, findings, upsets, figures } = await load.settle();
      const { calls, failures } = load.publishers;
      const deliveries = new Deliveries(history);
      const whole = [{ from: 0, to: Number.POSITIVE_INFINITY }];
      const p99Ms = deliveries.percentile(0.99, down);
      console.log(
        table({
          "Redis killed": kills,
          [`Redis paused for ${pauseMs / 1000} s`]: pauses,
          "Redis emptied": flushes,
          "publish calls": calls,
          "delivery p50 ms": deliveries.percentile(0.5, whole),
          "delivery p50 ms, Redis down": deliveries.percentile(0.5, down),
          "delivery p99 ms, Redis down": p99Ms,
          ...figures,
        }),
      );
      expect.soft(failures.length / calls).toBeLessThanOrEqual(0.001);
      expect.soft(p99Ms).toBeLessThanOrEqual(3_000);
      // A Redis that is away is no reason to end a stream.
      expect.soft(streams).toBe(load.subscribers.length);
      expect.soft(findings.slice(0, 20)).toEqual([]);
      expect.soft(upsets.slice(0, 20)).toEqual([]);
      expect.soft(errorsIn(cluster.log).slice(0, 5)).toEqual([]);
    } finally {
      load?.close();
      await cluster.close();
    }
  },
);
