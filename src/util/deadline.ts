import { fail } from "../errors.ts";
import type { Clock } from "../ports/clock.ts";
import { perFeedMs } from "../ports/store.ts";

/** The store's own error knows more of the cause: it comes first, where one call alone takes all the time. */
const graceMs = 100;

/**
 * How long a caller is kept waiting by the Store, however many calls of it one answer takes: hardly longer than by one of
 * them, for each may take all of its time, one after the other, while the store comes and goes.
 */
export class Deadline {
  readonly #clock: Clock;
  readonly #callMs: number | undefined;

  /** `callMs`: StoreInfo's `patienceMs`. */
  constructor(clock: Clock, callMs: number | undefined) {
    this.#clock = clock;
    this.#callMs = callMs;
  }

  /**
   * The outcome of work that asks the store, and appends messages with so many places in all. Rejects with
   * STORE_UNAVAILABLE when it takes too long. The work then goes on, for what it has stored is to be announced, and nobody
   * hears what becomes of it; before it stores anything, it asks by `check`, which throws the same.
   */
  async within<T>(places: number, work: (check: () => void) => Promise<T>): Promise<T> {
    if (this.#callMs === undefined) return work(() => {});
    const late = Promise.withResolvers<never>();
    let error: Error | undefined;
    const timer = this.#clock.after(this.#callMs + graceMs + places * perFeedMs, () => {
      error = unavailable();
      late.reject(error);
    });
    const check = () => {
      if (error) throw error;
    };
    try {
      return await Promise.race([work(check), late.promise]);
    } finally {
      timer.cancel();
    }
  }
}

function unavailable(): Error {
  const cause = new Error("the store answered some calls, and together they took too long");
  return fail("STORE_UNAVAILABLE", "the store did not answer in time; repeat the request", {
    cause,
    retryAfterMs: 1000,
  });
}
