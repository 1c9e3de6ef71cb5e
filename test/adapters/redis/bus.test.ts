import { afterAll, beforeAll, expect, test } from "vitest";
import { RedisBus } from "../../../src/adapters/redis/bus.ts";
import { busContract } from "../../../src/testing/bus.ts";
import { anyRedis, randomPrefix, redisServer, sharedRedis, startRedis } from "../../support/redis.ts";
import { describeWith, testWith } from "../../support/require.ts";

/** Closes a bus at the end of the block. */
class Closing implements AsyncDisposable {
  readonly bus: RedisBus;

  constructor(bus: RedisBus) {
    this.bus = bus;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.bus.close();
  }
}

describeWith(anyRedis)("Over one Redis,", () => {
  let redis: Awaited<ReturnType<typeof sharedRedis>>;
  beforeAll(async () => {
    redis = await sharedRedis();
  });
  afterAll(() => redis.stop());

  test("RedisBus counts what it has sent, received and missed", async () => {
    const prefix = randomPrefix();
    await using one = new Closing(new RedisBus({ url: redis.url, prefix }));
    await using two = new Closing(new RedisBus({ url: redis.url, prefix }));
    const before = one.bus.figures();
    expect(before).toMatchObject({ losses: 0, heard: 0, dropped: 0 });
    for (const { bus } of [one, two]) await expect.poll(() => bus.figures().connected, { interval: 5 }).toBe(true);
    one.bus.publish([{ type: "recall", feed: { tenant: "t", name: "user/ann" }, ids: ["1"] }]);
    await expect.poll(() => two.bus.figures().heard, { interval: 5 }).toBe(1);
    expect(one.bus.figures().sent).toBeGreaterThan(before.sent);
    expect(two.bus.figures()).toMatchObject({ connected: true, losses: 0, dropped: 0 });
  });

  testWith(redisServer)(
    "RedisBus sends the messages of one event-loop tick for all shards with one write, without waiting for answers",
    async () => {
      const own = await startRedis();
      const bus = new RedisBus({ url: own.url, prefix: randomPrefix() });
      try {
        await expect.poll(() => bus.isConnected, { interval: 5 }).toBe(true);
        const before = bus.counts.sent;
        const reads = async () =>
          Number(/total_reads_processed:(\d+)/.exec(String(await own.call("INFO", "stats")))?.[1]);
        const first = await reads();
        const idle = (await reads()) - first;
        const names = Array.from({ length: 300 }, (_, index) => `user/u${index}`);
        bus.publish(names.map((name) => ({ type: "recall", feed: { tenant: "t", name }, ids: ["1"] })));
        const shards = () => bus.counts.sent - before;
        await expect.poll(shards, { interval: 5 }).toBeGreaterThanOrEqual(32);
        // One read for the write, and a few for heartbeats in between.
        expect((await reads()) - first - 2 * idle).toBeLessThan(8);
      } finally {
        await bus.close();
        await own.stop();
      }
    },
  );

  test("RedisBus keeps buses apart whose URLs name different prefixes", async () => {
    const urls = [randomPrefix(), randomPrefix()].map((prefix) => `${redis.url}?prefix=${prefix}`);
    const open = (which: number) => new Closing(new RedisBus({ url: urls[which] ?? "" }));
    await using one = open(0);
    await using two = open(0);
    await using other = open(1);
    await using another = open(1);
    for (const { bus } of [one, two, other, another])
      await expect.poll(() => bus.isConnected, { interval: 5 }).toBe(true);
    const received: string[] = [];
    for (const [name, { bus }] of Object.entries({ two, other })) {
      bus.subscribe((notice) => {
        if (notice.type === "recall") received.push(`${name} ${notice.ids[0]}`);
      });
    }
    const publish = (bus: RedisBus, id: string) =>
      bus.publish([{ type: "recall", feed: { tenant: "t", name: "user/ann" }, ids: [id] }]);
    publish(one.bus, "1");
    await expect.poll(() => received, { interval: 5 }).toEqual(["two 1"]);
    // Redis keeps the order: had the first message reached this bus, it would be here by now.
    publish(another.bus, "2");
    await expect.poll(() => received, { interval: 5 }).toEqual(["two 1", "other 2"]);
  });

  busContract("RedisBus", async () => {
    const prefix = randomPrefix();
    const make = () => new RedisBus({ url: redis.url, prefix });
    const buses = [make(), make(), make()] as const;
    for (const bus of buses) await expect.poll(() => bus.isConnected, { interval: 5 }).toBe(true);
    return { buses, close: async () => void (await Promise.all(buses.map((bus) => bus.close()))) };
  });
});
