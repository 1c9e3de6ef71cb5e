import { type SeqRanges, unbounded } from "../ports/store.ts";

/**
 * A set of seqs, kept as disjoint, ascending runs. All messages of a feed are one run, however many they are. Every other
 * message is the worst case, which retention bounds.
 */
export class SeqSet {
  /** The runs as from, to, from, to …, where each from is greater than the to before it plus one. */
  #bounds: number[];

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

  /** Returns a new set with the seqs of both. Takes time linear in their runs. */
  union(other: SeqSet): SeqSet {
    return new SeqSet(unite(this.#bounds, other.#bounds));
  }

  /** Returns a new set with the seqs that are not in the other one. Takes time linear in the runs of both. */
  without(other: SeqSet): SeqSet {
    return new SeqSet(subtract(this.#bounds, other.#bounds));
  }

  /** Adds the seqs of another set, in time linear in the runs of both: `add` would move all later runs for each one. */
  addAll(other: SeqSet): void {
    this.#bounds = unite(this.#bounds, other.#bounds);
  }

  /** Removes the seqs of another set, in time linear in the runs of both. */
  removeAll(other: SeqSet): void {
    this.#bounds = subtract(this.#bounds, other.#bounds);
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

/** Returns the bounds of all runs of two sets, joined where they overlap or touch. */
function unite(one: readonly number[], two: readonly number[]): number[] {
  const united: number[] = [];
  let end = Number.NEGATIVE_INFINITY;
  for (let i = 0, j = 0; i < one.length || j < two.length; ) {
    const isOne = j === two.length || (i < one.length && (one[i] as number) <= (two[j] as number));
    const from = (isOne ? one[i] : two[j]) as number;
    const to = (isOne ? one[i + 1] : two[j + 1]) as number;
    if (isOne) i += 2;
    else j += 2;
    if (from > end + 1) united.push(from, to);
    else if (to > end) united[united.length - 1] = to;
    end = Math.max(end, to);
  }
  return united;
}

/** Returns the bounds of what is left of the runs of a set without those of another. */
function subtract(bounds: readonly number[], without: readonly number[]): number[] {
  const left: number[] = [];
  let next = 0;
  for (let i = 0; i < bounds.length; i += 2) {
    let from = bounds[i] as number;
    const to = bounds[i + 1] as number;
    while (next < without.length && (without[next + 1] as number) < from) next += 2;
    // The last run may reach into the next one of the set, so `next` does not pass it.
    for (let j = next; j < without.length && (without[j] as number) <= to; j += 2) {
      if ((without[j] as number) > from) left.push(from, (without[j] as number) - 1);
      from = (without[j + 1] as number) + 1;
    }
    if (from <= to) left.push(from, to);
  }
  return left;
}
