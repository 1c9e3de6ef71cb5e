import { type Clock, systemClock, type Timer } from "../ports/clock.ts";

/** A time by which work has to be done. Its timer runs until it passes, `race` settles or `end` is called. */
export class Deadline {
  readonly #passed = Promise.withResolvers<never>();
  readonly #timer: Timer;
  #error: Error | undefined;
  #ended = false;

  /** A deadline `milliseconds` from now. `describe` makes the error that reports it once it has passed. */
  constructor(milliseconds: number, describe: () => Error, clock: Clock = systemClock) {
    // A deadline may pass while nothing races with it; that is no unhandled rejection.
    this.#passed.promise.catch(() => {});
    this.#timer = clock.after(milliseconds, () => {
      this.#error = describe();
      this.#passed.reject(this.#error);
    });
  }

  /** Whether the deadline has passed or was ended. Work that can stop should stop: its result is not used. */
  get isOver(): boolean {
    return this.#error !== undefined || this.#ended;
  }

  /** Throws the deadline's error once it has passed. */
  check(): void {
    if (this.#error) throw this.#error;
  }

  /**
   * Settles as `work` does, or rejects with the deadline's error when that passes first; the work is not interrupted,
   * but its outcome is ignored. Ends the deadline either way.
   */
  async race<T>(work: Promise<T>): Promise<T> {
    try {
      return await Promise.race([work, this.#passed.promise]);
    } finally {
      this.end();
    }
  }

  /** Ends the deadline: it does not pass any more. */
  end(): void {
    this.#timer.cancel();
    this.#ended = true;
  }
}
