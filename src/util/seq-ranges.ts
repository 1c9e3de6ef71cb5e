import type { SeqRanges } from "../ports/store.ts";

/** The parts of ascending ranges that lie between `least` and `most`, both included. */
export function clip(ranges: SeqRanges, least: number, most: number): SeqRanges {
  const clipped = ranges.map(([from, to]) => [Math.max(from, least), Math.min(to, most)] as const);
  return clipped.filter(([from, to]) => from <= to);
}

/** Returns a predicate that reports whether a seq lies in one of some ascending, disjoint ranges, by binary search. */
export function withinAny(ranges: SeqRanges): (seq: number) => boolean {
  return (seq) => {
    let [low, high] = [0, ranges.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ranges[middle]?.[1] ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    const [from, to] = ranges[low] ?? [1, 0];
    return from <= seq && seq <= to;
  };
}
