/** The bounds of an exponential back-off, in ms. */
export interface BackoffTimes {
  /** The upper bound of the first wait; it doubles with each further one. */
  readonly baseMs: number;
  /** The upper bound of every wait. */
  readonly capMs: number;
}

/**
 * Returns the wait before a retry, in ms: `fraction` of min(capMs, baseMs × 2^retries), where `retries` counts those
 * made before. A random fraction keeps callers that failed together from returning together: one in [0, 1) gives "full
 * jitter", one in [0.5, 1) gives "equal jitter", which has a lower bound. See
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
 */
export function backoffMs({ baseMs, capMs }: BackoffTimes, retries: number, fraction: number): number {
  return fraction * Math.min(capMs, baseMs * 2 ** retries);
}
