/** Time for clients. */
import type { Clock } from "../../ports/clock.ts";

/** setTimeout fires at once beyond this. */
const longestTimeout = 2_147_483_647;

/** The machine's clock. Its timers keep a Node process alive: a client that waits to reconnect is at work. */
export const foregroundClock: Clock = {
  now: () => Date.now(),
  after(milliseconds, call) {
    const timeout = setTimeout(call, Math.min(Math.max(0, milliseconds), longestTimeout));
    return { cancel: () => clearTimeout(timeout) };
  },
};
