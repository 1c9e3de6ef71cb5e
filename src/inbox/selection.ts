import type { NamedFeed } from "../feeds/feed.ts";
import type { FeedBounds, Selection, SeqRanges } from "../ports/store.ts";

/** Selects everything in some ranges of a feed, newest first and without bodies; callers spread narrower fields over it. */
export function selectAll({ key }: NamedFeed, ranges: SeqRanges, now: number): Selection {
  return {
    feed: key,
    ranges,
    now,
    kinds: [],
    categories: [],
    actorId: "",
    objectType: "",
    objectId: "",
    batchId: "",
    startTime: Number.NEGATIVE_INFINITY,
    endTime: Number.POSITIVE_INFINITY,
    expired: false,
    order: "newest",
    bodies: false,
    limit: Number.MAX_SAFE_INTEGER,
  };
}

/** The most seqs that one slice of a selection covers. */
const sliceSeqs = 2000;
/** The most runs of seqs in one slice. */
const sliceRanges = 500;

/**
 * Splits ranges into slices, oldest first, leaving out seqs beyond the bounds of the feed. A selection of a slice takes a
 * bounded time and memory, whatever it finds, and other calls of the store come between two of them.
 */
export function* slicesOf(ranges: SeqRanges, { tail, seq: last }: FeedBounds): Generator<SeqRanges> {
  let slice: [number, number][] = [];
  let seqs = 0;
  for (const [low, high] of ranges) {
    const end = Math.min(high, last);
    for (let from = Math.max(low, tail); from <= end; ) {
      const to = Math.min(end, from + sliceSeqs - seqs - 1);
      slice.push([from, to]);
      seqs += to - from + 1;
      from = to + 1;
      if (seqs < sliceSeqs && slice.length < sliceRanges) continue;
      yield slice;
      slice = [];
      seqs = 0;
    }
  }
  if (slice.length > 0) yield slice;
}

/** The most seqs, of a feed's newest, that a page of a list looks through at a time. */
const pageSeqs = 20_000;

/**
 * Cuts off the newest seqs of some ranges below a seq, for one selection of a list: a filter that lets few messages through
 * would otherwise look through the whole feed in one call of the store.
 */
export function cutNewest(ranges: SeqRanges, before: number): { newest: SeqRanges; older: SeqRanges } {
  const newest: [number, number][] = [];
  let left = pageSeqs;
  let index = ranges.length - 1;
  for (; index >= 0 && left > 0 && newest.length < sliceRanges; index--) {
    const [low, high] = ranges[index] as readonly [number, number];
    const to = Math.min(high, before - 1);
    if (to < low) continue;
    const from = Math.max(low, to - left + 1);
    newest.push([from, to]);
    left -= to - from + 1;
    if (from > low) return { newest: newest.reverse(), older: [...ranges.slice(0, index), [low, from - 1]] };
  }
  return { newest: newest.reverse(), older: ranges.slice(0, index + 1) };
}
