import { type SeqRanges, unbounded } from "../ports/store.ts";

/**
 * A set of seqs as disjoint, ascending runs. Reading all is one run, whatever the number of messages; reading every
 * other message is the worst case, and retention bounds it.
 */
export class SeqSet {
  /** Flat: from, to, from, to … with to + 1 < the next from. */
  readonly #bounds: number[];

  private constructor(bounds: number[]) {
    this.#bounds = bounds;
  }

  /** The set of nothing, or of what toJSON gave. */
  static from(bounds: readonly number[] = []): SeqSet {
    return new SeqSet([...bounds]);
  }

  /** For storing: the bounds of the runs. */
  toJSON(): readonly number[] {
    return this.#bounds;
  }

  /** Whether the seq is in the set. */
  has(seq: number): boolean {
    const index = this.#runFrom(seq);
    return index < this.#bounds.length && this.#at(index) <= seq;
  }

  /** Adds all from `from` to `to`, both included; an empty run adds nothing. */
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

  /** Adds one; answers whether it was not there. Cheapest for what follows all others, as new messages do. */
  addNew(seq: number): boolean {
    const last = this.#bounds.length - 1;
    if (last > 0 && this.#bounds[last] === seq - 1) this.#bounds[last] = seq;
    else if (this.has(seq)) return false;
    else this.add(seq);
    return true;
  }

  /** How many runs there are. */
  get runs(): number {
    return this.#bounds.length / 2;
  }

  /** Removes all from `from` to `to`, both included. */
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

  /** The runs within `from` to `to`. */
  ranges(from = 1, to = unbounded): SeqRanges {
    const runs: [number, number][] = [];
    for (let index = this.#runFrom(from); index < this.#bounds.length && this.#at(index) <= to; index += 2) {
      runs.push([Math.max(from, this.#at(index)), Math.min(to, this.#at(index + 1))]);
    }
    return runs;
  }

  /** The runs within `from` to `to` of what is not in the set. */
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

  /** A set of what is in this one or in the other. */
  union(other: SeqSet): SeqSet {
    const all = SeqSet.from(this.#bounds);
    for (const [low, high] of other.ranges()) all.add(low, high);
    return all;
  }

  /** Index of the first run that ends at or after `seq`. */
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
