import type { Logger } from "pino";
import { type Clock, elapsedOn, type Timer } from "../ports/clock.ts";
import type { Store } from "../ports/store.ts";

/** The time between two measurements, in ms. */
const intervalMs = 10_000;
/** The time between two attempts until one has succeeded, in ms. */
const retryMs = 200;
/** Attempts at the start. After these the node starts with its own clock, and goes on trying. */
const attemptsAtStart = 20;
/** A slower answer says too little about the time, in ms. */
const slowestMs = 2_000;
/** A smaller difference is taken for an error of the measurement, in ms. */
const toleranceMs = 50;
/** From this difference on, an operator should correct the machine's clock, in ms. */
const skewedMs = 5_000;

/**
 * The clock of a store that nodes share: it stamps messages and ends their lives, so that nodes whose own clocks differ agree
 * about expiry and idempotency records. It is read every ten seconds (Cristian's algorithm: the answer was true half a round
 * trip ago), and in between the steady count of elapsed time goes on from there: setting the machine's clock has no effect.
 */
export class StoreClock implements Clock {
  readonly #local: Clock;
  readonly #store: Store;
  readonly #logger: Logger | undefined;
  /** The store's time minus the elapsed time; undefined until it was measured. */
  #offset: number | undefined;
  #isSkewed = false;
  #timer: Timer | undefined;
  #closed = false;

  private constructor(local: Clock, store: Store, logger: Logger | undefined) {
    this.#local = local;
    this.#store = store;
    this.#logger = logger;
  }

  /** Resolves once the clock was measured, or could not be for some seconds. The store is open, and has a `now`. */
  static async start(local: Clock, store: Store, logger: Logger | undefined): Promise<StoreClock> {
    const clock = new StoreClock(local, store, logger);
    for (let attempt = 1; !(await clock.#measure()) && attempt < attemptsAtStart; attempt++) {
      await new Promise<void>((resolve) => local.after(retryMs, resolve));
    }
    if (clock.#offset === undefined)
      logger?.warn("the store's clock cannot be read; this machine's is used until it can");
    clock.#schedule();
    return clock;
  }

  /** The store's time; that of the machine until it was measured. */
  now(): number {
    return this.#offset === undefined ? this.#local.now() : Math.floor(this.#offset + this.elapsed());
  }

  elapsed(): number {
    return elapsedOn(this.#local);
  }

  after(milliseconds: number, call: () => void): Timer {
    return this.#local.after(milliseconds, call);
  }

  /** How far the machine's clock is ahead of the store's, in ms. */
  get skewMs(): number {
    return this.#local.now() - this.now();
  }

  /** Measures nothing more. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#closed) return;
    const delay = this.#offset === undefined ? retryMs : intervalMs;
    this.#timer = this.#local.after(delay, () => void this.#measure().then(() => this.#schedule()));
  }

  /** Reads the store's clock. Returns whether that succeeded; a failure changes nothing. */
  async #measure(): Promise<boolean> {
    const sent = this.elapsed();
    const time = await this.#read().catch(() => undefined);
    const received = this.elapsed();
    if (time === undefined || received - sent > slowestMs) return false;
    const half = (received - sent) / 2;
    const offset = time + half - received;
    if (this.#offset === undefined || Math.abs(offset - this.#offset) > half + toleranceMs) this.#offset = offset;
    this.#checkSkew();
    return true;
  }

  /** Rejects also where a store of somebody else's throws. */
  async #read(): Promise<number | undefined> {
    return this.#store.now?.();
  }

  #checkSkew(): void {
    const isSkewed = Math.abs(this.skewMs) > skewedMs;
    if (isSkewed === this.#isSkewed) return;
    this.#isSkewed = isSkewed;
    if (!isSkewed) this.#logger?.info("this machine's clock agrees with the store's again");
    else {
      const seconds = Math.round(this.skewMs / 1000);
      this.#logger?.warn(
        { seconds },
        `this machine's clock is ${Math.abs(seconds)} s ${seconds > 0 ? "ahead of" : "behind"} the store's, which decides; ` +
          "correct it: tokens are checked by it",
      );
    }
  }
}
