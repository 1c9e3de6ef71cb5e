import type { Filter } from "mongodb";
import { type FeedKey, type NotificationCount, notificationKind, type SeqRanges } from "../../ports/store.ts";
import { mapLimited } from "../../util/limit.ts";
import { clip, withinAny } from "../../util/seq-ranges.ts";
import { type Database, maxParallel, maxRanges } from "./database.ts";
import { type EntryDocument, feedName } from "./documents.ts";
import { type FeedBoundsReader, StaleReadError } from "./feed-bounds.ts";

/** The most feeds that one query names. */
const maxFeeds = 50;
/** Rows that the server sends at a time. */
const batchSize = 20_000;

/** A feed, and the ranges of it that are counted. */
interface CountedFeed {
  readonly f: string;
  readonly ranges: SeqRanges;
  /** The feed's last number; 0 for an empty feed. */
  readonly last: number;
}

/** Entries of one feed and one category, counted together. */
interface Group {
  readonly _id: {
    readonly f: string;
    /** Category. */
    readonly g: string;
    /**
     * 0 for a group whose entries all count. Otherwise the number of the only entry of the group, which counts only if it
     * is an unexpired notification within the ranges.
     */
    readonly only: number;
  };
  /** Kind. */
  readonly k: number;
  readonly count: number;
  /** The lowest number among the entries. */
  readonly s: number;
  /** When the first of the entries expires; absent or null if none does. */
  readonly x?: number | null;
}

/**
 * Counts the notifications in ranges of feeds: by an aggregation on the server, or in this process if the server has none
 * or a feed has too many ranges for one query. A count from a server that lags behind is detected and refused.
 */
export class UnreadCounts {
  readonly #database: Database;
  readonly #bounds: FeedBoundsReader;

  constructor(database: Database, bounds: FeedBoundsReader) {
    this.#database = database;
    this.#bounds = bounds;
  }

  /** Implements `countNotifications` of InboxIndex. Throws StaleReadError when the server lags behind. */
  async count(
    feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[],
    now: number,
  ): Promise<NotificationCount> {
    const names = feeds.map(({ feed }) => feedName(feed));
    // Read the ends before the entries: a server that does not return the entry at an end lags behind.
    const lasts = await this.#bounds.lastSeqs(names);
    const counted = feeds.map(({ ranges }, index): CountedFeed => {
      const f = names[index] ?? "";
      const last = lasts.get(f) ?? 0;
      return { f, ranges: clip(ranges, this.#bounds.tailByCount(last), last), last };
    });
    return this.#count(counted, now);
  }

  async #count(counted: readonly CountedFeed[], now: number): Promise<NotificationCount> {
    const groups = await this.#groups(counted, now);
    const tails = await this.#bounds.tails(counted.map(({ f }) => f));
    const bounds = counted.map(({ f, last }) => this.#bounds.boundsOf(last, tails.get(f) ?? 1));
    const count = { ...sum(counted, groups, now), bounds };
    const tailOf = (index: number) => bounds[index]?.tail ?? 1;
    if (count.oldest.every((seq, index) => seq >= tailOf(index))) return count;
    // A feed was trimmed during the count, so some of its entries below the tail may be missing: count from the tail on.
    const kept = counted.map((each, index) => ({ ...each, ranges: clip(each.ranges, tailOf(index), each.last) }));
    return this.#count(kept, now);
  }

  /**
   * The entries in the ranges, grouped. The last slot of each feed is a group of its own, whose presence proves that the
   * server did not lag behind.
   */
  async #groups(counted: readonly CountedFeed[], now: number): Promise<Group[]> {
    const asked = counted.filter(({ ranges }) => ranges.length > 0);
    const canGroup = this.#database.aggregate !== undefined;
    const isGrouped = ({ ranges }: CountedFeed) => canGroup && ranges.length <= maxRanges;
    const grouped = asked.filter(isGrouped);
    const parts = Array.from({ length: Math.ceil(grouped.length / maxFeeds) }, (_, index) =>
      grouped.slice(index * maxFeeds, (index + 1) * maxFeeds),
    );
    const read = asked.filter((feed) => !isGrouped(feed));
    const found = await Promise.all([
      mapLimited(maxParallel, parts, (part) => this.#grouped(part, now)),
      mapLimited(maxParallel, read, (feed) => this.#rows(feed)),
    ]);
    return found.flat(2);
  }

  async #grouped(feeds: readonly CountedFeed[], now: number): Promise<Group[]> {
    const alive = { k: notificationKind, x: { $not: { $lte: now } } };
    const $or: Filter<EntryDocument>[] = feeds.flatMap(({ f, ranges, last }) => [
      ...ranges.map(([from, to]) => ({ f, s: { $gte: from, $lte: to }, ...alive })),
      { f, s: last },
    ]);
    const isLast = { $in: [["$f", "$s"], feeds.map(({ f, last }) => [f, last])] };
    const _id = { f: "$f", g: "$g", only: { $cond: [isLast, "$s", 0] } };
    const $group = { _id, k: { $min: "$k" }, count: { $sum: 1 }, s: { $min: "$s" }, x: { $min: "$x" } };
    const options = { hint: "slot", batchSize };
    return (await this.#database.aggregate?.<Group>("entries", [{ $match: { $or } }, { $group }], options)) ?? [];
  }

  /** All entries of a feed from its first range to its end, each as a group by itself; `sum` skips those between ranges. */
  async #rows({ f, ranges, last }: CountedFeed): Promise<Group[]> {
    const filter = { f, s: { $gte: ranges[0]?.[0] ?? 1, $lte: last } };
    const options = { projection: { _id: 0, s: 1, k: 1, g: 1, x: 1 }, batchSize };
    const rows = await this.#database.find<EntryDocument>("entries", filter, options);
    return rows.map(({ s, k, g, x = null }) => ({ _id: { f, g, only: s }, k, count: 1, s, x }));
  }
}

/** Sums up groups. Throws StaleReadError if the last slot of a feed is missing. */
function sum(
  counted: readonly CountedFeed[],
  groups: readonly Group[],
  now: number,
): Omit<NotificationCount, "bounds"> {
  const byCategory = new Map<string, number>();
  let nextExpiry = Number.POSITIVE_INFINITY;
  const byFeed = Map.groupBy(groups, ({ _id }) => _id.f);
  const oldest = counted.map(({ f, ranges, last }) => {
    let least = Number.POSITIVE_INFINITY;
    if (ranges.length === 0) return least;
    const ofFeed = byFeed.get(f) ?? [];
    if (!ofFeed.some(({ _id }) => _id.only === last)) throw new StaleReadError(`slot ${last} of ${f} is missing`);
    const inRanges = withinAny(ranges);
    for (const { _id, k, count, s, x } of ofFeed) {
      const expires = x ?? Number.POSITIVE_INFINITY;
      if (k !== notificationKind || expires <= now || !inRanges(s)) continue;
      byCategory.set(_id.g, (byCategory.get(_id.g) ?? 0) + count);
      nextExpiry = Math.min(nextExpiry, expires);
      least = Math.min(least, s);
    }
    return least;
  });
  return { byCategory, nextExpiry, oldest };
}
