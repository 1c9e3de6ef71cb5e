import type { Clock, Random } from "./clock.ts";
import { fail } from "./errors.ts";
import type { AdmissionOptions } from "./options.ts";

/** The next turn is so far off, in ms: a client takes a shorter time for no answer at all, and backs off as it likes. */
const leastMs = 500;
/** The queue of turns is no longer, in ms. */
const longestMs = 29_000;

/**
 * How many new streams a node takes per second: a bucket of tokens, so that the return of everyone at once neither
 * reaches the store nor delays the streams that are open. Who finds it empty is told a turn of its own in the seconds to
 * come: the same delay for all would only move the crowd.
 */
export class Admission {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #clock: Clock;
  readonly #random: Random;
  #tokens: number;
  #filledAt: number;
  /** When the turn of the last one who was refused comes. */
  #turn = 0;

  constructor({ perSecond, burst }: Required<AdmissionOptions>, clock: Clock, random: Random) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#clock = clock;
    this.#random = random;
    this.#tokens = burst;
    this.#filledAt = clock.now();
  }

  /** Takes in one stream. Throws TOO_MANY_NEW_STREAMS with the time to come back. */
  admit(): void {
    this.#fill();
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return;
    }
    const retryAfterMs = Math.ceil(this.#nextTurn());
    throw fail("TOO_MANY_NEW_STREAMS", "too many streams are being opened; come back after the delay", {
      retryAfterMs,
    });
  }

  /** A clock that was set back fills nothing, and takes nothing away. */
  #fill(): void {
    const now = this.#clock.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#filledAt) * this.#perMs);
    this.#filledAt = now;
  }

  #nextTurn(): number {
    const now = this.#clock.now();
    const latest = now + longestMs;
    this.#turn = Math.min(Math.max(this.#turn, now) + 1 / this.#perMs, latest);
    // A full queue has no turns left: the rest is spread over its second half.
    const part = this.#turn < latest ? 1 : 0.5 + this.#random.fraction() / 2;
    return leastMs + (this.#turn - now) * part + this.#random.fraction() * leastMs;
  }
}
