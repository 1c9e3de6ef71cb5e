/** Buckets per doubling: a percentile is exact within 2 %. */
const perOctave = 32;
/** From 1 µs to over an hour. */
const buckets = perOctave * 32;

/** How often each time occurred; it can be sent between processes and added up. */
export class Histogram {
  readonly #counts: Float64Array;

  constructor(counts: Iterable<number> = []) {
    this.#counts = new Float64Array(buckets);
    this.#counts.set([...counts]);
  }

  /** Counts a time in µs. */
  add(microseconds: number): void {
    const bucket = Math.floor(Math.log2(Math.max(1, microseconds)) * perOctave);
    const index = Math.min(buckets - 1, bucket);
    this.#counts[index] = (this.#counts[index] as number) + 1;
  }

  /** Takes over the counts of another. */
  merge(other: Histogram): void {
    other.#counts.forEach((count, index) => {
      this.#counts[index] = (this.#counts[index] as number) + count;
    });
  }

  clear(): void {
    this.#counts.fill(0);
  }

  get count(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  /** The time in ms below which the fraction `p` lies; NaN when nothing was counted. */
  percentile(p: number): number {
    let left = this.count * p;
    for (let index = 0; index < buckets; index++) {
      left -= this.#counts[index] as number;
      if (left < 0) return 2 ** ((index + 0.5) / perOctave) / 1000;
    }
    return Number.NaN;
  }

  toJSON(): number[] {
    return [...this.#counts];
  }
}

/** Now in µs, on a clock that all processes of a machine share (CLOCK_MONOTONIC). */
export function sharedMicroseconds(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
