import { expect } from "vitest";
import { runPresenceScripts } from "../support/presence-scripts.ts";
import { redisServer, startRedis } from "../support/redis.ts";
import { testWith } from "../support/require.ts";
import { percentile } from "./figures.ts";
import { seed } from "./random.ts";
import { report } from "./report.ts";
import { times } from "./size.ts";

const scripts = times(30, 1_000);

testWith(redisServer)(
  `Every node counts users exactly after each of ${scripts} random scripts of connects, moves, cuts and kills`,
  async () => {
    const redis = await startRedis();
    try {
      const { steps, moves, cuts, kills, lostKeys, orphans, tookMs } = await runPresenceScripts(redis, scripts, seed);
      report("presence-scripts", {
        scripts: tookMs.length,
        steps,
        moves,
        "connections to Redis cut": cuts,
        "nodes killed": kills,
        "connections open on killed nodes": orphans,
        "keys of Redis lost": lostKeys,
        "time until every node is exact, p50, ms": Math.round(percentile(tookMs, 0.5)),
        "time until every node is exact, p99, ms": Math.round(percentile(tookMs, 0.99)),
        "time until every node is exact, max, ms": Math.round(Math.max(...tookMs)),
      });
      expect(tookMs).toHaveLength(scripts);
      expect(orphans).toBeGreaterThan(0);
    } finally {
      await redis.stop();
    }
  },
);
