/** How long to wait before the next attempt. */

/** The longest wait between two attempts, in ms. */
export const backoffCapMs = 30_000;

/** The bound of the first wait, in ms; it doubles with every failure. */
export const backoffBaseMs = 500;

/**
 * Full jitter: evenly spread over [0, min(30 s, 0.5 s × 2^failures)), so that clients which lost one server together do
 * not return together. `fraction` is a number in [0, 1).
 */
export function backoffMs(failures: number, fraction: number): number {
  // 2^1024 is Infinity, which Math.min turns into the cap: a client may fail for years.
  return fraction * Math.min(backoffCapMs, backoffBaseMs * 2 ** failures);
}

/** The wait while fresh tokens are refused, in ms: the capped delay, from its middle on, so that it is never short. */
export function refusedMs(fraction: number): number {
  return (backoffCapMs / 2) * (1 + fraction);
}
