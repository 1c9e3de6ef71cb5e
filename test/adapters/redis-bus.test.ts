import { afterAll, beforeAll, describe, expect } from "vitest";
import { RedisBus } from "../../src/adapters/redis/bus.ts";
import { busContract } from "../contract/bus.ts";
import { hasRedis, randomPrefix, sharedRedis } from "../support/redis.ts";

describe.skipIf(!hasRedis)("over one Redis", () => {
  let redis: Awaited<ReturnType<typeof sharedRedis>>;
  beforeAll(async () => {
    redis = await sharedRedis();
  });
  afterAll(() => redis.stop());

  busContract("RedisBus", async () => {
    const prefix = randomPrefix();
    const make = () => new RedisBus({ url: redis.url, prefix });
    const buses = [make(), make(), make()] as const;
    for (const bus of buses) await expect.poll(() => bus.hears, { interval: 5 }).toBe(true);
    return { buses, close: async () => void (await Promise.all(buses.map((bus) => bus.close()))) };
  });
});
