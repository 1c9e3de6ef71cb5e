import type { Filter } from "mongodb";
import { type FeedKey, type NotificationCount, notificationKind, type SeqRanges } from "../../ports/store.ts";
import { mapLimited } from "../../util/limit.ts";
import { type Connection, maxParallel } from "./connection.ts";
import { type EntryDocument, feedName } from "./documents.ts";
import { type Heads, StaleAnswer } from "./heads.ts";
import type { Layout } from "./layout.ts";
import { clip, maxRanges, withinAny } from "./ranges.ts";

/** Feeds of one question. */
const feedsTogether = 50;

/** A feed with what is to be counted of it. */
interface Counted {
  readonly f: string;
  readonly ranges: SeqRanges;
  /** Its last slot, 0 for none. */
  readonly last: number;
}

/** Entries of a feed that count alike. */
interface Group {
  readonly _id: {
    readonly f: string;
    readonly g: string;
    /** The number of an entry that is a group of its own, and may not count; 0 for a group of which all count. */
    readonly only: number;
  };
  readonly k: number;
  readonly count: number;
  /** The lowest number. */
  readonly s: number;
  /** When the first of them expires; absent, or null, for never. */
  readonly x?: number | null;
}

/** Counts notifications: in MongoDB itself, or in this process where that costs less. */
export class UnreadCounts {
  readonly #connection: Connection;
  readonly #layout: Layout;
  readonly #heads: Heads;

  constructor(connection: Connection, layout: Layout, heads: Heads) {
    this.#connection = connection;
    this.#layout = layout;
    this.#heads = heads;
  }

  /** See InboxIndex. Throws StaleAnswer. */
  async tally(
    feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[],
    now: number,
  ): Promise<NotificationCount> {
    const names = feeds.map(({ feed }) => feedName(feed));
    // Before the entries: these must not be older than what the heads promise.
    const lasts = await this.#heads.lastOf(names);
    const counted = feeds.map(({ ranges }, index): Counted => {
      const f = names[index] ?? "";
      const last = lasts.get(f) ?? 0;
      return { f, ranges: clip(ranges, this.#heads.tailByCount(last), last), last };
    });
    return this.#tally(counted, now);
  }

  async #tally(counted: readonly Counted[], now: number): Promise<NotificationCount> {
    const groups = await this.#groups(counted, now);
    const tails = await this.#heads.tailsOf(counted.map(({ f }) => f));
    const heads = counted.map(({ f, last }) => this.#heads.head(last, tails.get(f) ?? 1));
    const tally = { ...sum(counted, groups, now), bounds: heads };
    const tailOf = (index: number) => heads[index]?.tail ?? 1;
    if (tally.oldest.every((seq, index) => seq >= tailOf(index))) return tally;
    // Some of what was counted is being deleted, and perhaps not all of that was there: from its tail on, a feed is whole.
    const kept = counted.map((each, index) => ({ ...each, ranges: clip(each.ranges, tailOf(index), each.last) }));
    return this.#tally(kept, now);
  }

  /** What lies in the ranges, and the last slot of each feed: an answer without that is older than the head. */
  async #groups(counted: readonly Counted[], now: number): Promise<Group[]> {
    const asked = counted.filter(({ ranges }) => ranges.length > 0);
    const isRead = ({ ranges }: Counted) => this.#layout.scans || ranges.length > maxRanges;
    const grouped = asked.filter((each) => !isRead(each));
    const parts = Array.from({ length: Math.ceil(grouped.length / feedsTogether) }, (_, index) =>
      grouped.slice(index * feedsTogether, (index + 1) * feedsTogether),
    );
    const found = await Promise.all([
      mapLimited(maxParallel, parts, (part) => this.#grouped(part, now)),
      mapLimited(maxParallel, asked.filter(isRead), (each) => this.#rows(each)),
    ]);
    return found.flat(2);
  }

  async #grouped(feeds: readonly Counted[], now: number): Promise<Group[]> {
    const alive = { k: notificationKind, x: { $not: { $lte: now } } };
    const $or: Filter<EntryDocument>[] = feeds.flatMap(({ f, ranges, last }) => [
      ...ranges.map(([from, to]) => ({ f, s: { $gte: from, $lte: to }, ...alive })),
      { f, s: last },
    ]);
    const isLast = { $in: [["$f", "$s"], feeds.map(({ f, last }) => [f, last])] };
    const _id = { f: "$f", g: "$g", only: { $cond: [isLast, "$s", 0] } };
    const $group = { _id, k: { $min: "$k" }, count: { $sum: 1 }, s: { $min: "$s" }, x: { $min: "$x" } };
    const options = { hint: "slot", batchSize: 20_000 };
    const name = this.#layout.all[0] ?? "";
    return this.#connection.aggregate<Group>(name, [{ $match: { $or } }, { $group }], options);
  }

  /** Each entry is a group of its own. */
  async #rows({ f, ranges, last }: Counted): Promise<Group[]> {
    const filter = { f, s: { $gte: ranges[0]?.[0] ?? 1, $lte: last } };
    const options = { projection: { _id: 0, s: 1, k: 1, g: 1, x: 1 }, batchSize: 20_000 };
    const rows = await this.#connection.find<EntryDocument>(this.#layout.entries(f), filter, options);
    return rows.map(({ s, k, g, x = null }) => ({ _id: { f, g, only: s }, k, count: 1, s, x }));
  }
}

/** Puts groups together. Throws StaleAnswer. */
function sum(counted: readonly Counted[], groups: readonly Group[], now: number): Omit<NotificationCount, "bounds"> {
  const byCategory = new Map<string, number>();
  let nextExpiry = Number.POSITIVE_INFINITY;
  const byFeed = Map.groupBy(groups, ({ _id }) => _id.f);
  const oldest = counted.map(({ f, ranges, last }) => {
    let least = Number.POSITIVE_INFINITY;
    if (ranges.length === 0) return least;
    const mine = byFeed.get(f) ?? [];
    if (!mine.some(({ _id }) => _id.only === last)) throw new StaleAnswer(`slot ${last} of ${f} is missing`);
    const inRanges = withinAny(ranges);
    for (const { _id, k, count, s, x } of mine) {
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
