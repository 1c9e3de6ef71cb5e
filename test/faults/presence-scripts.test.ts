import { expect } from "vitest";
import { runPresenceScripts } from "../support/presence-scripts.ts";
import { redisServer, startRedis } from "../support/redis.ts";
import { testWith } from "../support/require.ts";
import { percentile } from "./figures.ts";
import { report } from "./report.ts";
import { seed, times } from "./size.ts";

const scripts = times(30, 1_000);

testWith(redisServer)(
  `who is online is exact again after each of ${scripts} random scripts of connects, moves, cuts and kills`,
  async () => {
    const redis = await startRedis();
    try {
      const { steps, moves, cuts, kills, orphans, tookMs } = await runPresenceScripts(redis, scripts, seed);
      report("presence-scripts", {
        scripts: tookMs.length,
        steps,
        moves,
        "cables cut": cuts,
        "nodes killed": kills,
        "connections open on killed nodes": orphans,
        "exact on each node after ms, p50": Math.round(percentile(tookMs, 0.5)),
        "exact on each node after ms, p99": Math.round(percentile(tookMs, 0.99)),
        "exact on each node after ms, at most": Math.round(Math.max(...tookMs)),
      });
      expect(tookMs).toHaveLength(scripts);
      expect(orphans).toBeGreaterThan(0);
    } finally {
      await redis.stop();
    }
  },
);
