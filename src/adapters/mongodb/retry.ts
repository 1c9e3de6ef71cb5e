import { setTimeout as sleep } from "node:timers/promises";
import { backoffMs } from "../../util/backoff.ts";

const retryTimes = { baseMs: 5, capMs: 100 };

/**
 * Waits before the next attempt, with jitter: nodes that collided must not collide again. `attempt`: earlier ones, 0
 * for none.
 */
export function pauseBeforeRetry(attempt: number): Promise<void> {
  return sleep(backoffMs(retryTimes, attempt, Math.random()));
}
