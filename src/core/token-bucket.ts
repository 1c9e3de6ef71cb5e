import { type Clock, elapsedOn, type Random } from "../ports/clock.ts";

/** The shortest delay, in ms: clients take no shorter one for a retry slot, and back off by themselves. */
const leastMs = 500;
/** The longest queue of retry slots, in ms. */
const longestMs = 29_000;

/** A token bucket that gives each refused caller a retry slot of its own, one token's time after the one before. */
export class TokenBucket {
  /** The tokens that it gains a second. */
  readonly perSecond: number;
  /** The most tokens that it holds. */
  readonly burst: number;
  readonly #perMs: number;
  readonly #clock: Clock;
  readonly #random: Random;
  #tokens: number;
  #filledAt: number;
  /** The last retry slot given out, in the elapsed time of the clock. */
  #lastSlot = 0;

  /** The bucket starts full, and gains `perSecond` tokens a second. */
  constructor({ perSecond, burst }: { perSecond: number; burst: number }, clock: Clock, random: Random) {
    this.perSecond = perSecond;
    this.#perMs = perSecond / 1000;
    this.burst = burst;
    this.#clock = clock;
    this.#random = random;
    this.#tokens = burst;
    this.#filledAt = elapsedOn(clock);
  }

  /** Whether a token can be taken. */
  get hasToken(): boolean {
    const now = elapsedOn(this.#clock);
    this.#tokens = Math.min(this.burst, this.#tokens + Math.max(0, now - this.#filledAt) * this.#perMs);
    this.#filledAt = now;
    return this.#tokens >= 1;
  }

  /** Takes a token. Call it only while `hasToken` is true. */
  take(): void {
    this.#tokens -= 1;
  }

  /** The delay after which a refused caller should retry, in ms: with jitter, and at most 30,000. */
  nextRetryMs(): number {
    const now = elapsedOn(this.#clock);
    const latest = now + longestMs;
    this.#lastSlot = Math.min(Math.max(this.#lastSlot, now) + 1 / this.#perMs, latest);
    // A full queue has no slot left: spread the other callers over its second half.
    const part = this.#lastSlot < latest ? 1 : 0.5 + this.#random.fraction() / 2;
    return Math.ceil(leastMs + (this.#lastSlot - now) * part + this.#random.fraction() * leastMs);
  }
}
