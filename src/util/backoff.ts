/** Times of an exponential back-off, in ms. */
export interface BackoffTimes {
  /** The upper bound before the second attempt; it doubles with each further one. */
  readonly baseMs: number;
  /** The upper bound of them all. */
  readonly capMs: number;
}

/**
 * The wait after `failures` failures (0 for none), in ms: evenly spread over [0, min(cap, base × 2^failures)), so that
 * callers which failed together do not return together. This is "full jitter" of
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. `fraction` is random, in [0, 1).
 */
export function backoffMs({ baseMs, capMs }: BackoffTimes, failures: number, fraction: number): number {
  return fraction * Math.min(capMs, baseMs * 2 ** failures);
}
