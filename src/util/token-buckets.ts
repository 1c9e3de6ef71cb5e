import { type Clock, elapsedOn } from "../ports/clock.ts";
import type { Charge, Refusal } from "../ports/rate-limiter.ts";
import { LruCache } from "./lru.ts";
import { TokenBucket } from "./token-bucket.ts";

/** The most buckets of one limit that are remembered. One that is evicted is full when it is used again. */
const maxBuckets = 50_000;

/** The token bucket of a limit and a key. */
export class KeyedBucket extends TokenBucket {
  readonly limit: string;
  readonly key: string;
  /** Tokens taken since the last report to other nodes; for adapters that share buckets. */
  unreported = 0;

  /** Creates a full bucket. */
  constructor({ limit, key, rate }: Charge, now: number) {
    super(rate, now);
    this.limit = limit;
    this.key = key;
  }
}

/** The token buckets of a process, by limit and key: what `RateLimiter.take` does without other nodes. */
export class TokenBuckets {
  readonly #clock: Clock;
  readonly #limits = new Map<string, LruCache<string, KeyedBucket>>();
  readonly #taken: (bucket: KeyedBucket, cost: number) => void;

  /** `taken` is called after tokens were taken from a bucket. */
  constructor(clock: Clock, taken: (bucket: KeyedBucket, cost: number) => void = () => {}) {
    this.#clock = clock;
    this.#taken = taken;
  }

  /** The number of buckets in memory. */
  get size(): number {
    return [...this.#limits.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** As RateLimiter.take. */
  take(charges: readonly Charge[]): Refusal | undefined {
    const now = elapsedOn(this.#clock);
    const buckets = charges.map((charge) => this.#bucket(charge, now));
    for (const [index, charge] of charges.entries()) {
      const bucket = buckets[index] as KeyedBucket;
      bucket.fill(now);
      if (charge.cost === 0) continue;
      // The tolerance is for sums of fractions: tokens that were gained in ten steps make a whole one.
      const missing = Math.min(charge.cost, charge.rate.burst) - bucket.level - 1e-9;
      if (missing > 0)
        return { charge, retryAfterMs: Math.max(1, Math.ceil((missing / charge.rate.perSecond) * 1000)) };
    }
    for (const [index, { cost }] of charges.entries()) {
      const bucket = buckets[index] as KeyedBucket;
      bucket.level -= cost;
      this.#taken(bucket, cost);
    }
    return undefined;
  }

  /** Forgets every bucket. */
  clear(): void {
    this.#limits.clear();
  }

  #bucket(charge: Charge, now: number): KeyedBucket {
    const buckets = this.#limits.get(charge.limit) ?? new LruCache<string, KeyedBucket>({ entries: maxBuckets });
    this.#limits.set(charge.limit, buckets);
    return buckets.getOrCreate(charge.key, () => new KeyedBucket(charge, now));
  }
}
