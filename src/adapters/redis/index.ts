/** Bus, presence and rate limiter on Redis: `import { redisBus } from "tidings/redis"`. Needs the package ioredis. */
import type { Logger } from "pino";
import type { Bus } from "../../ports/bus.ts";
import type { Presence } from "../../ports/presence.ts";
import type { RateLimiter } from "../../ports/rate-limiter.ts";
import { RedisBus } from "./bus.ts";
import { RedisPresence } from "./presence.ts";
import { RedisRateLimiter } from "./rate-limiter.ts";

/** Options of redisBus, redisPresence and redisRateLimiter. */
export interface RedisOptions {
  /**
   * `redis://host:6379/0`, `redis+cluster://a:6379,b:6379` or `redis+sentinel://a:26379,b:26379/mymaster/0`, with `rediss`
   * for TLS. `?prefix=name` goes before the names of all keys and channels, so that services can share one Redis.
   */
  readonly url: string;
  /** Logs when Redis is lost and found, when it may evict keys, and when another node falls silent. Default: nothing is logged. */
  readonly logger?: Logger;
}

/** Creates a bus on Redis; it connects at once, in the background. Throws a TypeError when the URL is malformed. */
export function redisBus(options: RedisOptions): Bus {
  return new RedisBus(options);
}

/** Creates a presence on Redis; it connects at once, in the background. Throws a TypeError when the URL is malformed. */
export function redisPresence(options: RedisOptions): Presence {
  return new RedisPresence(options);
}

/**
 * Creates a rate limiter on Redis, whose nodes share their token buckets; it connects at once, in the background. Throws a
 * TypeError when the URL is malformed.
 */
export function redisRateLimiter(options: RedisOptions): RateLimiter {
  return new RedisRateLimiter(options);
}
