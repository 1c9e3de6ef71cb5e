import type { Clock, Random, Timer } from "../../src/ports/clock.ts";

interface Pending {
  readonly due: number;
  readonly call: () => void;
}

/** A clock that stands still until `advance` or `set` is called. */
export class FakeClock implements Clock {
  #now: number;
  /** The sum of all jumps, in ms. */
  #jumped = 0;
  readonly #timers = new Set<Pending>();

  /** `start`: milliseconds since the Unix epoch. */
  constructor(start = 1_800_000_000_000) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  elapsed(): number {
    return this.#now - this.#jumped;
  }

  after(milliseconds: number, call: () => void): Timer {
    const timer = { due: this.#now + Math.max(0, milliseconds), call };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** The number of pending timers. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets time pass. Timers fire in order, and everything that follows from one happens before the next. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#now = Math.max(this.#now, next.due);
      this.#timers.delete(next);
      next.call();
      await tick();
    }
    this.#now = end;
    await tick();
  }

  /** Sets the machine's clock ahead by some ms, or back by a negative number. No time passes. */
  jump(milliseconds: number): void {
    this.#now += milliseconds;
    this.#jumped += milliseconds;
    // The delay of a timer does not depend on the machine's clock.
    const timers = [...this.#timers];
    this.#timers.clear();
    for (const { due, call } of timers) this.#timers.add({ due: due + milliseconds, call });
  }

  /** Lets time pass, or go back, without firing timers, as on a machine that slept. */
  set(time: number): void {
    this.#now = time;
  }

  #next(end: number): Pending | undefined {
    let next: Pending | undefined;
    for (const timer of this.#timers) {
      if (timer.due <= end && (!next || timer.due < next.due)) next = timer;
    }
    return next;
  }
}

/** Randomness that is the same for the same seed. */
export function seededRandom(seed = 1): Random {
  let state = seed >>> 0;
  // Mulberry32.
  const fraction = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { fraction, bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(fraction() * 256)) };
}

/** Waits for one event-loop tick: every promise that can settle without input has settled then. */
export function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Waits for `count` ticks. */
export async function ticks(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await tick();
}
