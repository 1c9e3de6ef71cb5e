import { type Clock, systemClock, type Timer } from "../ports/clock.ts";

/** A time by which work has to be done. Call `race` or `end`, so that no timer is left behind. */
export class Deadline {
  readonly #missed = Promise.withResolvers<never>();
  readonly #timer: Timer;
  #error: Error | undefined;
  #ended = false;

  /** In `milliseconds` from now; `describe` makes the error of a deadline that is missed. */
  constructor(milliseconds: number, describe: () => Error, clock: Clock = systemClock) {
    // Work that ends in time leaves nobody to handle this rejection.
    this.#missed.promise.catch(() => {});
    this.#timer = clock.after(milliseconds, () => {
      this.#error = describe();
      this.#missed.reject(this.#error);
    });
  }

  /** The deadline was missed, or nobody waits any more: work that can stop should stop. */
  get isOver(): boolean {
    return this.#error !== undefined || this.#ended;
  }

  /** Throws the error of a missed deadline. */
  check(): void {
    if (this.#error) throw this.#error;
  }

  /** Settles as the work does, or rejects when the deadline is missed; the work then goes on unheard. Ends the deadline. */
  async race<T>(work: Promise<T>): Promise<T> {
    try {
      return await Promise.race([work, this.#missed.promise]);
    } finally {
      this.end();
    }
  }

  /** Nobody waits any more. */
  end(): void {
    this.#timer.cancel();
    this.#ended = true;
  }
}
