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

/**
 * Whether a time that the server named is a turn that it gives, in ms. A shorter one is no pace to keep: there the
 * back-off counts, so that a client which is told "at once" each time slows down.
 */
export function isTurn(askedMs: number): boolean {
  return askedMs >= backoffBaseMs;
}

/**
 * The wait where the server named one, in ms: never shorter than it, and spread over half a second more, since many may
 * have been told the same. The back-off is not added to a turn: after an outage, a server that lets its clients in one
 * after another would wait for those that had tried the most.
 */
export function heldMs(askedMs: number, failures: number, fraction: number): number {
  if (!isTurn(askedMs)) return Math.max(askedMs, backoffMs(failures, fraction));
  return askedMs + backoffMs(0, fraction);
}

/** The wait while fresh tokens are refused, in ms: the capped delay, from its middle on, so that it is never short. */
export function refusedMs(fraction: number): number {
  return (backoffCapMs / 2) * (1 + fraction);
}
