/** Time and randomness as interfaces, so that a test can run a whole server on a clock and a seed of its own. */

/** A pending call of a Clock. */
export interface Timer {
  /** Cancels the call. Does nothing once the call has run. */
  cancel(): void;
}

/** A source of time. */
export interface Clock {
  /** The current time, in ms since the Unix epoch. */
  now(): number;
  /** Calls the function once after the delay in ms. A delay of more than 24 days counts as 24 days. */
  after(milliseconds: number, call: () => void): Timer;
}

/** A source of randomness. */
export interface Random {
  /** Returns this number of random bytes. */
  bytes(count: number): Uint8Array;
  /** Returns a number in [0, 1). */
  fraction(): number;
}

/** The longest delay in ms that setTimeout takes; a longer one would fire at once. */
const longestTimeout = 2_147_483_647;

/** A class rather than a closure, which saves memory: every stream has a timer. */
class SystemTimer implements Timer {
  readonly #timeout: NodeJS.Timeout;

  constructor(call: () => void, milliseconds: number) {
    this.#timeout = setTimeout(call, Math.min(Math.max(0, milliseconds), longestTimeout));
    this.#timeout.unref?.();
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }
}

/** The system clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(milliseconds, call) {
    return new SystemTimer(call, milliseconds);
  },
};

/** The bytes that one call of the system provides, for many ids. */
const poolBytes = 4096;
let pool = new Uint8Array(0);
let used = 0;

/** The system's randomness. */
export const systemRandom: Random = {
  bytes(count) {
    if (used + count > pool.length) {
      pool = crypto.getRandomValues(new Uint8Array(Math.max(poolBytes, count)));
      used = 0;
    }
    used += count;
    return pool.slice(used - count, used);
  },
  fraction: () => Math.random(),
};
