import { expect } from "vitest";
import { runPresenceScripts } from "../../support/presence-scripts.ts";
import { redisServer, startRedis } from "../../support/redis.ts";
import { testWith } from "../../support/require.ts";

testWith(redisServer)(
  "RedisPresence converges to exact counts after random enters, leaves, moves, cut cables and killed nodes",
  async () => {
    const redis = await startRedis();
    try {
      const { tookMs, orphans } = await runPresenceScripts(redis, 20);
      expect(tookMs).toHaveLength(20);
      expect(orphans).toBeGreaterThan(0);
    } finally {
      await redis.stop();
    }
  },
);
