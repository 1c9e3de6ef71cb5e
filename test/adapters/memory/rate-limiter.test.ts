import { MemoryRateLimiter } from "../../../src/adapters/memory/rate-limiter.ts";
import { systemClock } from "../../../src/ports/clock.ts";
import { rateLimiterContract } from "../../../src/testing/rate-limiter.ts";

rateLimiterContract("MemoryRateLimiter", async () => {
  const limiter = new MemoryRateLimiter(systemClock);
  return { nodes: [limiter], close: () => limiter.close() };
});
