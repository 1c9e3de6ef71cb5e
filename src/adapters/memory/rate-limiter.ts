import type { Clock } from "../../ports/clock.ts";
import type { Charge, RateLimiter, Refusal } from "../../ports/rate-limiter.ts";
import { TokenBuckets } from "../../util/token-buckets.ts";

/** Port RateLimiter within one process. Several processes together allow the sum of what each of them allows. */
export class MemoryRateLimiter implements RateLimiter {
  readonly #buckets: TokenBuckets;

  constructor(clock: Clock) {
    this.#buckets = new TokenBuckets(clock);
  }

  take(charges: readonly Charge[]): Refusal | undefined {
    return this.#buckets.take(charges);
  }

  async close(): Promise<void> {
    this.#buckets.clear();
  }
}
