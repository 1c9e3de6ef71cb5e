import { afterAll, beforeAll, expect, test } from "vitest";
import { RedisRateLimiter } from "../../../src/adapters/redis/rate-limiter.ts";
import type { Charge, Rate } from "../../../src/ports/rate-limiter.ts";
import { rateLimiterContract } from "../../../src/testing/rate-limiter.ts";
import { anyRedis, randomPrefix, redisServer, sharedRedis, startRedis, type TestRedis } from "../../support/redis.ts";
import { describeWith, testWith } from "../../support/require.ts";

/** Opens nodes that share their buckets. */
async function openNodes(url: string, count: number): Promise<RedisRateLimiter[]> {
  const prefix = randomPrefix();
  const nodes = Array.from({ length: count }, () => new RedisRateLimiter({ url, prefix }));
  for (const node of nodes) await expect.poll(() => node.isShared, { interval: 5 }).toBe(true);
  return nodes;
}

function charge(rate: Rate, cost = 1, key = "a"): Charge {
  return { limit: "test", key, rate, cost };
}

describeWith(anyRedis)("Over one Redis,", () => {
  let redis: Awaited<ReturnType<typeof sharedRedis>>;
  beforeAll(async () => {
    redis = await sharedRedis();
  });
  afterAll(() => redis.stop());

  rateLimiterContract("RedisRateLimiter", async () => {
    const [one, two, three] = (await openNodes(redis.url, 3)) as [RedisRateLimiter, RedisRateLimiter, RedisRateLimiter];
    const nodes = [one, two, three] as const;
    return { nodes, close: async () => void (await Promise.all(nodes.map((node) => node.close()))) };
  });

  test("RedisRateLimiter allows three nodes together one rate in the long run, after a burst for each", async () => {
    const nodes = await openNodes(redis.url, 3);
    const rate = { perSecond: 200, burst: 20 };
    const start = performance.now();
    const seconds = () => (performance.now() - start) / 1000;
    let taken = 0;
    try {
      // Every node takes what it gets, all the time.
      while (seconds() < 1.5) {
        for (const node of nodes) while (node.take([charge(rate)]) === undefined) taken++;
        await new Promise((resolve) => setImmediate(resolve));
      }
      const most = rate.burst * nodes.length + rate.perSecond * (seconds() + 0.2 * nodes.length);
      expect(taken).toBeLessThanOrEqual(most);
      expect(taken).toBeGreaterThan(rate.perSecond * 0.8);
    } finally {
      await Promise.all(nodes.map((node) => node.close()));
    }
  });

  testWith(redisServer)("RedisRateLimiter sends nothing for buckets that are hardly used", async () => {
    const own = await startRedis();
    const [node] = (await openNodes(own.url, 1)) as [RedisRateLimiter];
    try {
      const keys = async () => Number(await own.call("DBSIZE"));
      for (let user = 0; user < 1000; user++) node.take([charge({ perSecond: 10, burst: 100 }, 5, `user-${user}`)]);
      // A bucket that is used more is reported, after all others would have been.
      node.take([charge({ perSecond: 0.01, burst: 100 }, 50)]);
      await expect.poll(keys, { interval: 5 }).toBe(1);
      // A bucket that is full again is gone.
      node.take([charge({ perSecond: 1_000, burst: 100 }, 50, "fast")]);
      await expect.poll(keys, { interval: 1 }).toBe(2);
      await expect.poll(keys, { interval: 5 }).toBe(1);
    } finally {
      await node.close();
      await own.stop();
    }
  });
});

describeWith(redisServer)("When Redis goes away,", () => {
  const rate = { perSecond: 0.001, burst: 20 };

  async function withNodes(use: (nodes: RedisRateLimiter[], redis: TestRedis) => Promise<void>): Promise<void> {
    const redis = await startRedis();
    const nodes = await openNodes(redis.url, 2);
    try {
      await use(nodes, redis);
    } finally {
      await Promise.all(nodes.map((node) => node.close()));
      await redis.stop();
    }
  }

  test("RedisRateLimiter limits each node by itself, and shares again once Redis is back", async () => {
    await withNodes(async (nodes, redis) => {
      const [one, two] = nodes as [RedisRateLimiter, RedisRateLimiter];
      await redis.kill();
      for (const node of nodes) {
        await expect.poll(() => node.isShared, { interval: 5 }).toBe(false);
        expect(node.take([charge(rate, 20)])).toBeUndefined();
        expect(node.take([charge(rate)])).toBeDefined();
      }
      await redis.start();
      for (const node of nodes) await expect.poll(() => node.isShared, { interval: 5 }).toBe(true);
      expect(one.take([charge(rate, 20, "b")])).toBeUndefined();
      await expect.poll(() => two.take([charge(rate, 2, "b")]) === undefined, { interval: 5 }).toBe(false);
    });
  });

  test("RedisRateLimiter leaves a connection on which nothing is answered, and shares on another", async () => {
    await withNodes(async (nodes, redis) => {
      const [one, two] = nodes as [RedisRateLimiter, RedisRateLimiter];
      const thaw = redis.freeze();
      one.take([charge(rate, 20)]);
      let key = 0;
      const lost = () => {
        // Reports are what finds the connection dead.
        one.take([charge(rate, 20, `key-${key++}`)]);
        return one.isShared;
      };
      await expect.poll(lost, { interval: 50, timeout: 10_000 }).toBe(false);
      thaw();
      await expect.poll(() => one.isShared, { interval: 5, timeout: 10_000 }).toBe(true);
      one.take([charge(rate, 20, "b")]);
      await expect.poll(() => two.take([charge(rate, 2, "b")]) === undefined, { interval: 5 }).toBe(false);
    });
  });
});
