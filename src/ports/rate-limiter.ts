/**
 * Port RateLimiter: token buckets, by name. A bucket holds at most `burst` tokens, starts full, and gains `perSecond` tokens
 * a second.
 *
 * The law: `take` takes the tokens of all its charges or of none, waits for nothing, and never throws. What a bucket
 * yields over any time is at most its burst and what it gained, and the debt that the last charge may leave. Where nodes
 * share buckets, they may together exceed that for a moment by no more than the adapter says, and the excess is paid back
 * out of later tokens. Buckets cost nothing while nobody uses them, and their number in memory is bounded: one that was
 * evicted is full when it is used again.
 */

/** The rate of a bucket: both numbers are finite and more than 0. */
export interface Rate {
  /** Tokens that the bucket gains a second. */
  readonly perSecond: number;
  /** The most tokens that it holds. */
  readonly burst: number;
}

/** Tokens to take from one bucket. */
export interface Charge {
  /** The name of the limit, from a small fixed set: never a value that a caller chooses. */
  readonly limit: string;
  /** Whose bucket of this limit it is. */
  readonly key: string;
  /** The same in every charge of a limit. */
  readonly rate: Rate;
  /**
   * The number of tokens; 0 or more. A charge of more than the burst needs a full bucket and leaves it in debt, so that a
   * large batch is possible, and holds up later ones.
   */
  readonly cost: number;
}

/** Why tokens were not taken. */
export interface Refusal {
  /** The charge whose bucket has too few tokens. */
  readonly charge: Charge;
  /** When it will have enough of them, if nobody else takes any; at least 1 ms. */
  readonly retryAfterMs: number;
}

/** The port. */
export interface RateLimiter {
  /** Takes the tokens of all charges, which are for different buckets. If one bucket has too few, takes none. */
  take(charges: readonly Charge[]): Refusal | undefined;
  /** Frees what the limiter holds. */
  close(): Promise<void>;
}
