import { Redis } from "ioredis";
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

  const open = async (prefix: string, leaseMs?: number) => {
    const make = () => new RedisPresence({ url: redis.url, prefix, ...(leaseMs === undefined ? {} : { leaseMs }) });
    const nodes = [make(), make(), make()] as const;
    for (const node of nodes) await expect.poll(() => node.isConnected, { interval: 5 }).toBe(true);
    return { nodes, close: async () => void (await Promise.all(nodes.map((node) => node.close()))) };
  };

  presenceContract("RedisPresence", () => open(randomPrefix()), {
    losing: async () => {
      const prefix = randomPrefix();
      // A lease of 3 s is renewed every 0.9 s.
      const nodes = await open(prefix, 3000);
      const client = new Redis(redis.url);
      return {
        nodes: nodes.nodes,
        repairMs: 3000,
        keys: () => client.keys(`${prefix}:*`),
        lose: async (key) => void (await client.del(key)),
        close: async () => {
          client.disconnect();
          await nodes.close();
        },
      };
    },
  });
});
