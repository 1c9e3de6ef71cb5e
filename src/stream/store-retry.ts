import { ConnectError } from "@connectrpc/connect";
import { reasonOf } from "../errors.ts";
import type { Clock, Random, Timer } from "../ports/clock.ts";

/** The shortest delay before the Store is asked again; the longest is twice that, so that streams do not ask together. */
const retryMs = 1000;

/** Yields items until the Store does not answer; calls `unavailable` and ends then. Throws every other error. */
export async function* whileAvailable<T>(items: AsyncIterable<T>, unavailable: () => void): AsyncGenerator<T> {
  try {
    yield* items;
  } catch (error) {
    if (!(error instanceof ConnectError) || reasonOf(error) !== "STORE_UNAVAILABLE") throw error;
    unavailable();
  }
}

/**
 * What one stream has to ask the Store again. A live stream stays open while the Store is away: its reader could only
 * open another stream and ask for the same from the beginning.
 */
export class StoreRetry {
  readonly #clock: Clock;
  readonly #random: Random;
  /** What to call, by subject. */
  #waiting = new Map<object, () => void>();
  #timer: Timer | undefined;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Calls `again` after a delay; of several calls for one subject, the last. */
  add(subject: object, again: () => void): void {
    this.#waiting.set(subject, again);
    this.#timer ??= this.#clock.after(retryMs * (1 + this.#random.fraction()), () => this.#retry());
  }

  /** Cancels every retry. */
  close(): void {
    this.#timer?.cancel();
  }

  #retry(): void {
    const waiting = this.#waiting;
    this.#waiting = new Map();
    this.#timer = undefined;
    for (const again of waiting.values()) again();
  }
}
