/** The delay before the next attempt to connect. */

/** The longest back-off delay, in ms. */
export const backoffCapMs = 30_000;

/** The bound of the first back-off delay, in ms; it doubles with every failure. */
export const backoffBaseMs = 500;

/**
 * The back-off delay in ms, with full jitter: uniform over [0, min(30 s, 0.5 s × 2^failures)), so that clients which
 * lost one server at the same moment do not return at the same moment. `fraction` is a number in [0, 1).
 */
export function backoffMs(failures: number, fraction: number): number {
  // 2^1024 is Infinity, which Math.min turns into the cap: a client may fail for years.
  return fraction * Math.min(backoffCapMs, backoffBaseMs * 2 ** failures);
}

/**
 * Whether a delay that the server named, in ms, assigns a retry slot to this client. A shorter delay is no schedule, so
 * the back-off applies: a client that is always asked to return at once must still slow down.
 */
export function isRetrySlot(askedMs: number): boolean {
  return askedMs >= backoffBaseMs;
}

/**
 * The delay in ms where the server named one: never shorter than that, and spread over another half a second, since
 * many clients may have been given the same one. The back-off is not added to a retry slot: after an outage a server
 * that admits its clients one after another would otherwise wait for those that had failed most often.
 */
export function heldMs(askedMs: number, failures: number, fraction: number): number {
  if (!isRetrySlot(askedMs)) return Math.max(askedMs, backoffMs(failures, fraction));
  return askedMs + backoffMs(0, fraction);
}

/**
 * The delay in ms after a fresh token was refused, which `refusals` others were before it: the upper half of the back-off, so
 * that it is never short. It grows, because a token may also have expired during an outage.
 */
export function refusedMs(refusals: number, fraction: number): number {
  return (Math.min(backoffCapMs, backoffBaseMs * 2 ** refusals) / 2) * (1 + fraction);
}
