/** The clock of clients. */
import type { Clock } from "../../ports/clock.ts";

/** The longest delay in ms that setTimeout takes; a longer one would fire at once. */
const longestTimeout = 2_147_483_647;

/** The shortest time in ms by which the wall clock must get ahead of the monotonic one to count as sleep. */
const sleepMs = 1_000;

/** The time in ms since the start of the page or process. */
let time = 0;
/** The two clocks, when they were read last. */
let wall = Date.now();
let monotonic = performance.now();

/**
 * A clock that never steps back, though somebody sets the machine's clock back, and that counts the time that the
 * machine slept, which the monotonic clock of some browsers leaves out. Setting the machine's clock forward looks like
 * sleep, and costs one reconnect. Unlike the server's, its timers keep a Node process alive while a client waits to
 * reconnect.
 */
export const foregroundClock: Clock = {
  now() {
    const passed = performance.now() - monotonic;
    const passedOnTheWall = Date.now() - wall;
    monotonic += passed;
    wall += passedOnTheWall;
    time += passedOnTheWall - passed > sleepMs ? passedOnTheWall : passed;
    return time;
  },
  after(milliseconds, call) {
    const timeout = setTimeout(call, Math.min(Math.max(0, milliseconds), longestTimeout));
    return { cancel: () => clearTimeout(timeout) };
  },
};
