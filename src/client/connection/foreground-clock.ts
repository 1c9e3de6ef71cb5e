/** The clock of clients. */
import type { Clock } from "../../ports/clock.ts";

/** The longest delay in ms that setTimeout takes; a longer one would fire at once. */
const longestTimeout = 2_147_483_647;

/** The system clock. Unlike the server's, its timers keep a Node process alive while a client waits to reconnect. */
export const foregroundClock: Clock = {
  now: () => Date.now(),
  after(milliseconds, call) {
    const timeout = setTimeout(call, Math.min(Math.max(0, milliseconds), longestTimeout));
    return { cancel: () => clearTimeout(timeout) };
  },
};
