/** Buckets for each doubling of the time, which makes a percentile exact within 2 %. */
const perOctave = 32;
/** Enough for times from 1 µs to over an hour. */
const buckets = perOctave * 32;

/** A histogram of times. Its counts can be sent to another process and added to another histogram. */
export class Histogram {
  readonly #counts: Float64Array;

  constructor(counts: Iterable<number> = []) {
    this.#counts = new Float64Array(buckets);
    this.#counts.set([...counts]);
  }

  /** Counts one time, in µs. */
  add(microseconds: number): void {
    const bucket = Math.floor(Math.log2(Math.max(1, microseconds)) * perOctave);
    const index = Math.min(buckets - 1, bucket);
    this.#counts[index] = (this.#counts[index] as number) + 1;
  }

  /** Adds the counts of another histogram. */
  merge(other: Histogram): void {
    other.#counts.forEach((count, index) => {
      this.#counts[index] = (this.#counts[index] as number) + count;
    });
  }

  /** Forgets all times. */
  clear(): void {
    this.#counts.fill(0);
  }

  /** The number of times counted. */
  get count(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  /** The time in ms below which the fraction `p` of all times lies; NaN when no time was counted. */
  percentile(p: number): number {
    let left = this.count * p;
    for (let index = 0; index < buckets; index++) {
      left -= this.#counts[index] as number;
      if (left < 0) return 2 ** ((index + 0.5) / perOctave) / 1000;
    }
    return Number.NaN;
  }

  /** The counts of all buckets, for the constructor. */
  toJSON(): number[] {
    return [...this.#counts];
  }
}

/** The current time in µs, on a clock that all processes of a machine share (CLOCK_MONOTONIC). */
export function sharedMicroseconds(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
