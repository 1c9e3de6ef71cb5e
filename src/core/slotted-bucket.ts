import { type Clock, elapsedOn, type Random } from "../ports/clock.ts";
import type { Rate } from "../ports/rate-limiter.ts";
import { TokenBucket } from "../util/token-bucket.ts";

/** The shortest delay, in ms: clients take no shorter one for a retry slot, and back off by themselves. */
const leastMs = 500;
/** The longest queue of retry slots, in ms. */
const longestMs = 29_000;

/** A token bucket that gives each refused caller a retry slot of its own, one token's time after the one before. */
export class SlottedBucket {
  readonly #bucket: TokenBucket;
  readonly #clock: Clock;
  readonly #random: Random;
  /** The last retry slot given out, in the elapsed time of the clock. */
  #lastSlot = 0;

  /** The bucket starts full. */
  constructor(rate: Rate, clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#bucket = new TokenBucket(rate, elapsedOn(clock));
  }

  get rate(): Rate {
    return this.#bucket.rate;
  }

  /** Whether a token can be taken. */
  get hasToken(): boolean {
    this.#bucket.fill(elapsedOn(this.#clock));
    return this.#bucket.level >= 1;
  }

  /** Takes a token. Call it only while `hasToken` is true. */
  take(): void {
    this.#bucket.take(elapsedOn(this.#clock));
  }

  /** The delay after which a refused caller should retry, in ms: with jitter, and at most 30,000. */
  nextRetryMs(): number {
    const now = elapsedOn(this.#clock);
    const latest = now + longestMs;
    this.#lastSlot = Math.min(Math.max(this.#lastSlot, now) + 1000 / this.rate.perSecond, latest);
    // A full queue has no slot left: spread the other callers over its second half.
    const part = this.#lastSlot < latest ? 1 : 0.5 + this.#random.fraction() / 2;
    return Math.ceil(leastMs + (this.#lastSlot - now) * part + this.#random.fraction() * leastMs);
  }
}
