import type { Clock, Random, Timer } from "../../src/ports/clock.ts";

interface Pending {
  readonly due: number;
  readonly call: () => void;
}

/** A clock that stands still until it is told how much time passes. */
export class FakeClock implements Clock {
  #now: number;
  readonly #timers = new Set<Pending>();

  /** `start`: milliseconds since the Unix epoch. */
  constructor(start = 1_800_000_000_000) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  after(milliseconds: number, call: () => void): Timer {
    const timer = { due: this.#now + Math.max(0, milliseconds), call };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** Calls that are still to come. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets time pass. What falls due is called in its order, and all that follows from it happens before the next. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#now = Math.max(this.#now, next.due);
      this.#timers.delete(next);
      next.call();
      await turn();
    }
    this.#now = end;
    await turn();
  }

  /** Sets the time without calling anything, as a machine does whose clock is set: back, too. */
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

/** Randomness that is the same in every run. */
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

/** One turn of the event loop: every promise that can settle without input has settled. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** So many turns. */
export async function turns(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await turn();
}
