import type { Rate } from "../ports/rate-limiter.ts";

/**
 * A token bucket. It starts full and gains tokens with time. Times are in ms, from a clock that is never set, such as
 * Clock.elapsed.
 */
export class TokenBucket {
  readonly rate: Rate;
  /** The tokens at `filledAt`; negative while the bucket is in debt. */
  level: number;
  /** When `level` was right. */
  filledAt: number;

  /** Creates a full bucket. */
  constructor(rate: Rate, now: number) {
    this.rate = rate;
    this.level = rate.burst;
    this.filledAt = now;
  }

  /** Adds the tokens gained up to `now`. */
  fill(now: number): void {
    const gained = (Math.max(0, now - this.filledAt) / 1000) * this.rate.perSecond;
    this.level = Math.min(this.rate.burst, this.level + gained);
    this.filledAt = now;
  }

  /** Takes one token, and returns false when there is none. */
  take(now: number): boolean {
    this.fill(now);
    if (this.level < 1) return false;
    this.level -= 1;
    return true;
  }
}
