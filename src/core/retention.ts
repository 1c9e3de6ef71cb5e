import type { Logger } from "pino";
import type { Clock, Timer } from "../ports/clock.ts";
import type { FeedLog } from "../ports/store.ts";
import { dayMs } from "../util/durations.ts";

/** How often it looks; it works in small steps, so that publishing goes on meanwhile. */
const intervalMs = 60_000;

/** Drops what is older than `days`, and what has expired. Nobody sees such messages before; this only frees the disk. */
export class Retention {
  readonly #store: FeedLog;
  readonly #clock: Clock;
  readonly #days: number;
  readonly #logger: Logger | undefined;
  #timer: Timer | undefined;
  #closed = false;

  constructor(store: FeedLog, clock: Clock, days: number, logger: Logger | undefined) {
    this.#store = store;
    this.#clock = clock;
    this.#days = days;
    this.#logger = logger;
    this.#schedule();
  }

  /** One round, until nothing is left to drop. */
  async run(): Promise<void> {
    try {
      const now = this.#clock.now();
      while (!this.#closed && (await this.#store.trim(now - this.#days * dayMs, now)) > 0);
    } catch (error) {
      if (!this.#closed) this.#logger?.warn({ err: error }, "retention failed; it tries again in a minute");
    }
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = this.#clock.after(intervalMs, () => void this.run().then(() => this.#schedule()));
  }
}
