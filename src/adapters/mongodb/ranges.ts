import type { SeqRanges } from "../../ports/store.ts";

/** More ranges of a feed than that are read as one stretch, and told apart in this process: so many cost the server more. */
export const maxRanges = 16;

/** What of ascending ranges lies between two numbers. */
export function clip(ranges: SeqRanges, least: number, most: number): SeqRanges {
  const clipped = ranges.map(([from, to]) => [Math.max(from, least), Math.min(to, most)] as const);
  return clipped.filter(([from, to]) => from <= to);
}

/** Whether a number lies in one of some ascending ranges. */
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
