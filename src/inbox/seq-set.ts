import { type SeqRanges, unbounded } from "../ports/store.ts";

/**
 * A set of seqs, kept as disjoint, ascending runs. All messages of a feed are one run, however many they are. Every other
 * message is the worst case, which retention bounds.
 */
export class SeqSet {
  /** The runs as from, to, from, to …, where each from is greater than the to before it plus one. */
  readonly #bounds: number[];

  private constructor(bounds: number[]) {
    this.#bounds = bounds;
  }

  /** Makes a set of the bounds that `toJSON` returned, or an empty set. */
  static from(bounds: readonly number[] = []): SeqSet {
    return new SeqSet([...bounds]);
  }

  /** Returns the bounds of the runs, to be stored. */
  toJSON(): readonly number[] {
    return this.#bounds;
  }

  /** Reports whether a seq is in the set. */
  has(seq: number): boolean {
    const index = this.#runFrom(seq);
    return index < this.#bounds.length && this.#at(index) <= seq;
  }

  /** Adds the seqs from `from` through `to`; none if `to` is smaller. */
  add(from: number, to = from): void {
    if (from > to) return;
    const start = this.#runFrom(from - 1);
    let end = start;
    let low = from;
    let high = to;
    while (end < this.#bounds.length && this.#at(end) <= to + 1) {
      low = Math.min(low, this.#at(end));
      high = Math.max(high, this.#at(end + 1));
      end += 2;
    }
    this.#bounds.splice(start, end - start, low, high);
  }

  /** Adds a seq and reports whether it was new. Fastest for one that follows all others, as that of a new message does. */
  addNew(seq: number): boolean {
    const last = this.#bounds.length - 1;
    if (last > 0 && this.#bounds[last] === seq - 1) this.#bounds[last] = seq;
    else if (this.has(seq)) return false;
    else this.add(seq);
    return true;
  }

  /** The number of runs. */
  get runs(): number {
    return this.#bounds.length / 2;
  }

  /** Removes the seqs from `from` through `to`; none if `to` is smaller. */
  remove(from: number, to = from): void {
    if (from > to) return;
    const start = this.#runFrom(from);
    const kept: number[] = [];
    let end = start;
    while (end < this.#bounds.length && this.#at(end) <= to) {
      if (this.#at(end) < from) kept.push(this.#at(end), from - 1);
      if (this.#at(end + 1) > to) kept.push(to + 1, this.#at(end + 1));
      end += 2;
    }
    this.#bounds.splice(start, end - start, ...kept);
  }

  /** Returns the runs between `from` and `to`, both included. */
  ranges(from = 1, to = unbounded): SeqRanges {
    const runs: [number, number][] = [];
    for (let index = this.#runFrom(from); index < this.#bounds.length && this.#at(index) <= to; index += 2) {
      runs.push([Math.max(from, this.#at(index)), Math.min(to, this.#at(index + 1))]);
    }
    return runs;
  }

  /** Returns the runs of missing seqs between `from` and `to`, both included. */
  gaps(from = 1, to = unbounded): SeqRanges {
    const runs: [number, number][] = [];
    let next = from;
    for (const [low, high] of this.ranges(from, to)) {
      if (next < low) runs.push([next, low - 1]);
      next = high + 1;
    }
    if (next <= to) runs.push([next, to]);
    return runs;
  }

  /** Returns a new set with the seqs of both. */
  union(other: SeqSet): SeqSet {
    const all = SeqSet.from(this.#bounds);
    for (const [low, high] of other.ranges()) all.add(low, high);
    return all;
  }

  /** Returns the index in `#bounds` of the first run that ends at or after `seq`. */
  #runFrom(seq: number): number {
    let low = 0;
    let high = this.#bounds.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#at(middle * 2 + 1) < seq) low = middle + 1;
      else high = middle;
    }
    return low * 2;
  }

  #at(index: number): number {
    return this.#bounds[index] as number;
  }
}
