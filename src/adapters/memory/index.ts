/** Bus, presence and rate limiter of a single process: `import { memoryBus } from "tidings/memory"`. */
import type { Bus } from "../../ports/bus.ts";
import { systemClock } from "../../ports/clock.ts";
import type { Presence } from "../../ports/presence.ts";
import type { RateLimiter } from "../../ports/rate-limiter.ts";
import { MemoryBus } from "./bus.ts";
import { MemoryPresence } from "./presence.ts";
import { MemoryRateLimiter } from "./rate-limiter.ts";

/** Creates a bus that reaches its own process only, at once and without loss. */
export function memoryBus(): Bus {
  return new MemoryBus();
}

/** Creates a presence that knows the connections and rooms of its own process only. */
export function memoryPresence(): Presence {
  return new MemoryPresence();
}

/** Creates a rate limiter whose token buckets are in its own process. */
export function memoryRateLimiter(): RateLimiter {
  return new MemoryRateLimiter(systemClock);
}
