/**
 * Port RateLimiter over Redis: buckets that nodes share. A node spends from its own copy of a bucket, and reports what it
 * has spent in the background; Redis takes it from the shared bucket and answers with the level, which the copy then has.
 * So no caller waits for Redis.
 *
 * The error of this: a node reports once it has spent a tenth of a burst, at most every 100 ms. Up to the answer its copy
 * knows nothing of the other nodes. N nodes may therefore allow, in the moment in which all of them begin to use a bucket,
 * N bursts rather than one, and what N buckets gain within 100 ms and a round trip. What they report takes the shared bucket
 * into debt, which its later tokens pay, so that over a longer time they allow the rate, and a tenth of a burst for each
 * node. A bucket that is used so rarely that no node spends a tenth of it never reaches Redis.
 *
 * While Redis does not answer, every node applies the limits by itself: N nodes allow N times the rate. What was spent
 * meanwhile is not reported later, since it would be a debt that nobody could foresee.
 */
import { type Cluster, Redis } from "ioredis";
import type { Logger } from "pino";
import { type Clock, elapsedOn, systemClock, type Timer } from "../../ports/clock.ts";
import type { Charge, RateLimiter, Refusal } from "../../ports/rate-limiter.ts";
import { exactKey } from "../../util/keys.ts";
import { type KeyedBucket, TokenBuckets } from "../../util/token-buckets.ts";
import { connectRedis, prefixOf } from "./connect.ts";
import { runScript, scripts } from "./scripts.ts";

/** Options of RedisRateLimiter. */
export interface RedisRateLimiterOptions {
  /** A URL of the form redis://, redis+sentinel:// or redis+cluster://, as connectRedis takes it. */
  readonly url: string;
  /** The start of every key. Default: the prefix that the URL names. */
  readonly prefix?: string;
  /** Gets one line when Redis is lost, and one when it is back. */
  readonly logger?: Logger | undefined;
  readonly clock?: Clock;
}

/** The least time between two reports of a node, in ms. */
const reportMs = 100;
/** The part of its burst that a node may have spent of a bucket without reporting it. */
const unreportedShare = 0.1;
/** A report without an answer for this time is on a dead connection, in ms. */
const stuckMs = 2_000;
/** The pause before a connection that ioredis has given up is made again, in ms. */
const reviveMs = 100;

/** The rate limiter of one node. */
export class RedisRateLimiter implements RateLimiter {
  readonly #redis: Redis | Cluster;
  readonly #prefix: string;
  readonly #logger: Logger | undefined;
  readonly #clock: Clock;
  readonly #buckets: TokenBuckets;
  /** Buckets to report. */
  readonly #spent = new Set<KeyedBucket>();
  /** When each bucket was reported whose answer is missing, in the elapsed time of the clock. */
  readonly #asked = new Map<KeyedBucket, number>();
  #timer: Timer | undefined;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #isShared: boolean | undefined;
  #error = "";
  #isClosed = false;

  /** Connects in the background. Throws a TypeError for a URL of an unknown form. */
  constructor({ url, prefix = prefixOf(url), logger, clock = systemClock }: RedisRateLimiterOptions) {
    this.#prefix = prefix;
    this.#logger = logger;
    this.#clock = clock;
    this.#buckets = new TokenBuckets(clock, (bucket, cost) => this.#spend(bucket, cost));
    this.#redis = connectRedis(url);
    this.#redis.on("error", (error: Error) => (this.#error = error.message));
    this.#redis.on("ready", () => this.#share(true));
    this.#redis.on("close", () => this.#share(false));
    // ioredis gives a connection up for good when Sentinel reports a failover while it connects.
    this.#redis.on("end", () => void clock.after(reviveMs, () => this.#revive()));
  }

  /** Whether Redis can be asked, so that nodes share their buckets. */
  get isShared(): boolean {
    return this.#isShared === true;
  }

  take(charges: readonly Charge[]): Refusal | undefined {
    return this.#buckets.take(charges);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#buckets.clear();
    this.#spent.clear();
    this.#redis.disconnect();
  }

  #spend(bucket: KeyedBucket, cost: number): void {
    bucket.unreported += cost;
    if (this.#isClosed || bucket.unreported < bucket.rate.burst * unreportedShare) return;
    this.#spent.add(bucket);
    const sinceMs = elapsedOn(this.#clock) - this.#reportedAt;
    this.#timer ??= this.#clock.after(Math.max(0, reportMs - sinceMs), () => this.#report());
  }

  #report(): void {
    this.#timer = undefined;
    const now = elapsedOn(this.#clock);
    this.#reportedAt = now;
    if (this.#redis.status !== "ready") {
      for (const bucket of this.#spent) bucket.unreported = 0;
      this.#spent.clear();
      return;
    }
    const [oldest = now] = this.#asked.values();
    // Rejects the reports on the way, too.
    if (now - oldest > stuckMs) {
      this.#redis.disconnect(true);
      return;
    }
    const stream = this.#redis instanceof Redis ? this.#redis.stream : undefined;
    stream?.cork();
    for (const bucket of this.#spent) if (!this.#asked.has(bucket)) void this.#ask(bucket, now);
    stream?.uncork();
  }

  /** Reports what was spent of a bucket, and sets its level to the answer. Never rejects. */
  async #ask(bucket: KeyedBucket, now: number): Promise<void> {
    const { limit, key, rate } = bucket;
    const spent = bucket.unreported;
    bucket.unreported = 0;
    this.#spent.delete(bucket);
    this.#asked.set(bucket, now);
    // Escaping keeps braces out, which would choose the hash slot of a Cluster.
    const name = `${this.#prefix}:rate:${limit}:${encodeURIComponent(exactKey(key.toWellFormed()))}`;
    const args = [rate.perSecond / 1000, rate.burst, spent].map(String);
    try {
      const level = Number(await runScript(this.#redis, scripts.spend, [name], args));
      bucket.level = level - bucket.unreported;
      bucket.filledAt = elapsedOn(this.#clock);
    } catch (error) {
      // What was spent stays taken from this node's copy.
      this.#error = String(error);
    } finally {
      this.#asked.delete(bucket);
      // It may have become due while the answer was missing.
      if (bucket.unreported > 0) this.#spend(bucket, 0);
    }
  }

  #share(isShared: boolean): void {
    if (this.#isShared === isShared || this.#isClosed) return;
    const wasLost = this.#isShared === false;
    this.#isShared = isShared;
    if (isShared && wasLost) this.#logger?.info("Redis is back; nodes share their rate limits again");
    if (isShared) return;
    this.#logger?.warn({ reason: this.#error }, "Redis is away; each node applies the rate limits by itself");
  }

  #revive(): void {
    if (!this.#isClosed && this.#redis.status === "end") this.#redis.connect().catch(() => {});
  }
}
