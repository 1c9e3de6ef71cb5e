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
