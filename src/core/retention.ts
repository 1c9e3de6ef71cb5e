import type { Logger } from "pino";
import type { Timer } from "../ports/clock.ts";
import type { FeedLog } from "../ports/store.ts";
import { dayMs } from "../util/durations.ts";
import type { SteadyClock } from "../util/steady-clock.ts";

/** The pause between two rounds, in ms. */
const intervalMs = 60_000;

/**
 * Deletes messages that have expired or are older than `days`, every minute and in small steps, so that publishing goes
 * on meanwhile. It only frees the disk: readers do not see such messages before that either. A deletion cannot be undone, so
 * nothing is deleted until the clock has run evenly for ten minutes, at the start as after a jump: a machine may boot with
 * a wrong time, and a time server may be wrong for a while.
 */
export class Retention {
  readonly #store: FeedLog;
  readonly #clock: SteadyClock;
  readonly #days: number;
  readonly #logger: Logger | undefined;
  #timer: Timer | undefined;
  #closed = false;

  /** Starts the first round after a minute. */
  constructor(store: FeedLog, clock: SteadyClock, days: number, logger: Logger | undefined) {
    this.#store = store;
    this.#clock = clock;
    this.#days = days;
    this.#logger = logger;
    this.#schedule();
  }

  /** Runs one round, unless the time may be wrong, until nothing is left to delete. A failure is logged. */
  async run(): Promise<void> {
    try {
      if (!this.#clock.isSettled) return;
      const now = this.#clock.now();
      while (!this.#closed && (await this.#store.trim(now - this.#days * dayMs, now)) > 0);
    } catch (error) {
      if (!this.#closed) this.#logger?.warn({ err: error }, "retention failed; it runs again in a minute");
    }
  }

  /** Stops after the step in flight. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = this.#clock.after(intervalMs, () => void this.run().then(() => this.#schedule()));
  }
}
