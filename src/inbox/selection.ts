import type { NamedFeed } from "../feeds/feed.ts";
import type { Selection, SeqRanges } from "../ports/store.ts";

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
