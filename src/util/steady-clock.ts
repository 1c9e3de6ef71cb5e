import { type Clock, elapsedOn, type Timer } from "../ports/clock.ts";

/** How long a jump of the clock has to last until it is believed, in ms. */
export const quarantineMs = 600_000;
/** The largest step that is no jump, in ms: clocks are corrected by seconds, and a busy process reads them late. */
const toleranceMs = 60_000;

/** What a steady clock reports: a jump in ms, negative for a clock that was set back, or the end of its quarantine. */
export interface SteadyClockEvents {
  jumped(milliseconds: number): void;
  believed(): void;
}

/** A reading of the clock, and the steady count of time at that moment. */
interface Reading {
  readonly time: number;
  readonly elapsed: number;
}

/**
 * A clock for what cannot be undone, such as deletion by age: its time does not follow the clock's jump forward until that
 * has lasted for ten minutes. A clock that is 400 days ahead for a minute then deletes nothing. It is never ahead of the
 * clock, and follows it back at once, since nothing is deleted by being late.
 */
export class SteadyClock implements Clock {
  readonly #clock: Clock;
  readonly #events: SteadyClockEvents;
  /** The last reading that is believed. */
  #known: Reading;
  /** The first reading after a jump forward, until it is believed or the clock has jumped again. */
  #doubted: Reading | undefined;
  /** Until the clock has run evenly for as long as a quarantine, it may have been wrong from the start. */
  readonly #start: number;

  constructor(clock: Clock, events: SteadyClockEvents) {
    this.#clock = clock;
    this.#events = events;
    this.#known = this.#read();
    this.#start = this.#known.elapsed;
  }

  /** The time in ms since the Unix epoch, as it would be without a jump that has not lasted yet. */
  now(): number {
    const reading = this.#read();
    if (off(reading, this.#known) < -toleranceMs) this.#believe(reading, off(reading, this.#known));
    else if (off(reading, this.#known) <= toleranceMs) this.#believe(reading, 0);
    else this.#doubt(reading);
    return this.#doubted ? this.#known.time + reading.elapsed - this.#known.elapsed : reading.time;
  }

  elapsed(): number {
    return elapsedOn(this.#clock);
  }

  after(milliseconds: number, call: () => void): Timer {
    return this.#clock.after(milliseconds, call);
  }

  /** Whether the time can be trusted: the clock has run evenly since the start, or a jump, for as long as a quarantine. */
  get isSettled(): boolean {
    this.now();
    return !this.#doubted && this.elapsed() - this.#start >= quarantineMs;
  }

  /** Takes a reading as true. `jump` is by how much the clock was set, if it was. */
  #believe(reading: Reading, jump: number): void {
    this.#known = reading;
    this.#doubted = undefined;
    if (jump !== 0) this.#events.jumped(jump);
  }

  #doubt(reading: Reading): void {
    if (!this.#doubted || Math.abs(off(reading, this.#doubted)) > toleranceMs) {
      this.#doubted = reading;
      this.#events.jumped(off(reading, this.#known));
    } else if (reading.elapsed - this.#doubted.elapsed >= quarantineMs) {
      this.#believe(reading, 0);
      this.#events.believed();
    }
  }

  #read(): Reading {
    return { time: this.#clock.now(), elapsed: this.elapsed() };
  }
}

/** By how much a reading is ahead of an earlier one, beyond the time between them. */
function off(reading: Reading, earlier: Reading): number {
  return reading.time - earlier.time - (reading.elapsed - earlier.elapsed);
}
