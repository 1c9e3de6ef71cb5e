import type { Clock, Random } from "../ports/clock.ts";

/** The next turn is so far off, in ms: a client takes a shorter time for no answer at all, and backs off as it likes. */
const leastMs = 500;
/** The queue of turns is no longer, in ms. */
const longestMs = 29_000;

/** A bucket of tokens; who finds it empty is told a turn of its own in the seconds to come. */
export class TokenBucket {
  /** Tokens that it holds at most. */
  readonly burst: number;
  readonly #perMs: number;
  readonly #clock: Clock;
  readonly #random: Random;
  #tokens: number;
  #filledAt: number;
  /** When the turn of the last one who was refused comes. */
  #turn = 0;

  constructor({ perSecond, burst }: { perSecond: number; burst: number }, clock: Clock, random: Random) {
    this.#perMs = perSecond / 1000;
    this.burst = burst;
    this.#clock = clock;
    this.#random = random;
    this.#tokens = burst;
    this.#filledAt = clock.now();
  }

  /** Whether there is a token to take. A clock that was set back fills nothing, and takes nothing away. */
  get hasToken(): boolean {
    const now = this.#clock.now();
    this.#tokens = Math.min(this.burst, this.#tokens + Math.max(0, now - this.#filledAt) * this.#perMs);
    this.#filledAt = now;
    return this.#tokens >= 1;
  }

  /** Takes a token; only when there is one. */
  take(): void {
    this.#tokens -= 1;
  }

  /** In how many ms the next one who is refused shall come back, at most 30,000. */
  nextTurn(): number {
    const now = this.#clock.now();
    const latest = now + longestMs;
    this.#turn = Math.min(Math.max(this.#turn, now) + 1 / this.#perMs, latest);
    // A full queue has no turns left: the rest is spread over its second half.
    const part = this.#turn < latest ? 1 : 0.5 + this.#random.fraction() / 2;
    return Math.ceil(leastMs + (this.#turn - now) * part + this.#random.fraction() * leastMs);
  }
}
