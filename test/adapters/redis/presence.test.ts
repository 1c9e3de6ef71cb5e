import { afterAll, beforeAll, expect } from "vitest";
import { RedisPresence } from "../../../src/adapters/redis/presence.ts";
import { presenceContract } from "../../../src/testing/presence.ts";
import { anyRedis, randomPrefix, sharedRedis } from "../../support/redis.ts";
import { describeWith } from "../../support/require.ts";

describeWith(anyRedis)("Over one Redis,", () => {
  let redis: Awaited<ReturnType<typeof sharedRedis>>;
  beforeAll(async () => {
    redis = await sharedRedis();
  });
  afterAll(() => redis.stop());

  presenceContract("RedisPresence", async () => {
    const prefix = randomPrefix();
    const make = () => new RedisPresence({ url: redis.url, prefix });
    const nodes = [make(), make(), make()] as const;
    for (const node of nodes) await expect.poll(() => node.isConnected, { interval: 5 }).toBe(true);
    return { nodes, close: async () => void (await Promise.all(nodes.map((node) => node.close()))) };
  });
});
