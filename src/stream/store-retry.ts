import { ConnectError } from "@connectrpc/connect";
import { reasonOf } from "../errors.ts";
import type { Clock, Random, Timer } from "../ports/clock.ts";

/** After so long, and up to twice that, the Store is asked again: not by all streams at once. */
const retryMs = 1000;

/**
 * What one stream asked of the Store in vain, to be asked again: a stream that has begun stays open while the Store is
 * away, since all that its reader could do is ask for the same from the beginning.
 */
export class StoreRetry {
  readonly #clock: Clock;
  readonly #random: Random;
  /** What to do then, by what it is about. Unset for most streams. */
  #waiting: Map<object, () => void> | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** The batches as far as they come; where the Store does not answer they end, and `again` is called later. */
  async *over<T>(batches: AsyncIterable<T>, about: object, again: () => void): AsyncGenerator<T> {
    try {
      yield* batches;
    } catch (error) {
      if (!(error instanceof ConnectError) || reasonOf(error) !== "STORE_UNAVAILABLE") throw error;
      this.#waiting ??= new Map();
      this.#waiting.set(about, again);
      this.#timer ??= this.#clock.after(retryMs * (1 + this.#random.fraction()), () => this.#again());
    }
  }

  /** Nothing is tried again. */
  close(): void {
    this.#timer?.cancel();
  }

  #again(): void {
    const waiting = this.#waiting;
    this.#waiting = this.#timer = undefined;
    for (const again of waiting?.values() ?? []) again();
  }
}
