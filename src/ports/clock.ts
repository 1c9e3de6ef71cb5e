/** Time and randomness are arguments, so that a test can run a whole server from one seed. */

/** A pending call of a Clock. */
export interface Timer {
  /** Cancels the call. Has no effect if it was made already. */
  cancel(): void;
}

/** The core's source of time. */
export interface Clock {
  /** The time in milliseconds since the Unix epoch. It can step back when the machine's clock is set. */
  now(): number;
  /**
   * The time in milliseconds since a fixed moment, for durations: it never steps, whatever the machine's clock is set to.
   * A clock without this method never steps either, and `now` is used.
   */
  elapsed?(): number;
  /**
   * Makes `call` once, after a delay and never within `after` itself. A negative delay counts as 0, and one of more than
   * 24 days as 24 days. Setting the machine's clock does not change the delay.
   */
  after(milliseconds: number, call: () => void): Timer;
}

/** Returns `elapsed` of a clock, or `now` of one without it. */
export function elapsedOn(clock: Clock): number {
  return clock.elapsed ? clock.elapsed() : clock.now();
}

/** The core's source of randomness. */
export interface Random {
  /** Returns `count` random bytes, which the caller may change. They have to be unpredictable: ids and secrets use them. */
  bytes(count: number): Uint8Array;
  /** Returns a number in [0, 1), for jitter. */
  fraction(): number;
}

/** A longer delay makes setTimeout fire at once. */
const longestTimeout = 2_147_483_647;

/** A class, because a closure for each timer would cost memory in every stream. */
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
  elapsed: () => performance.now(),
  after(milliseconds, call) {
    return new SystemTimer(call, milliseconds);
  },
};

/** Bytes that one call of the system yields, for many ids. */
const poolBytes = 4096;
let pool = new Uint8Array(0);
let used = 0;

/** The machine's randomness; `bytes` is cryptographically secure. */
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
