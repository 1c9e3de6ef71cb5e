/** Time and randomness as arguments, so that a whole server can run inside one seeded test. */

/** A pending call of a Clock. */
export interface Timer {
  /** Takes the call back; harmless after it. */
  cancel(): void;
}

/** Where the core takes time from. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Calls once, after so many milliseconds; longer than 24 days counts as 24 days. */
  after(milliseconds: number, call: () => void): Timer;
}

/** Where the core takes randomness from. */
export interface Random {
  /** So many random bytes. */
  bytes(count: number): Uint8Array;
  /** A number in [0, 1). */
  fraction(): number;
}

/** setTimeout fires at once beyond this. */
const longestTimeout = 2_147_483_647;

/** No closure of its own: every stream has one. */
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

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(milliseconds, call) {
    return new SystemTimer(call, milliseconds);
  },
};

/** One call of the system for many ids. */
const poolBytes = 4096;
let pool = new Uint8Array(0);
let used = 0;

/** The machine's randomness. */
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
