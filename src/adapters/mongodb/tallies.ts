import type { Filter } from "mongodb";
import type { FeedKey, SeqRanges, Tally } from "../../store.ts";
import { type Connection, forEach } from "./connection.ts";
import { type EntryDocument, feedName } from "./documents.ts";
import { type Heads, StaleAnswer } from "./heads.ts";
import type { Layout } from "./layout.ts";
import { clip, withinAny } from "./ranges.ts";

/** Stretches of one question. */
const maxStretches = 200;
const notification = 1;

/** A feed with what is to be counted of it. */
interface Counted {
  readonly f: string;
  readonly ranges: SeqRanges;
  /** Its last slot, 0 for none. */
  readonly last: number;
}

/** Slots of a feed from one number to another. */
interface Stretch {
  readonly counted: Counted;
  readonly from: number;
  readonly to: number;
}

/** Entries of a feed that count alike. */
interface Group {
  readonly _id: {
    readonly f: string;
    readonly g: string;
    /** Of a group of one, its number: whether it counts is still to be seen. 0: all of the group count. */
    readonly only: number;
  };
  readonly k: number;
  readonly count: number;
  /** The lowest number. */
  readonly s: number;
  /** When the first of them expires; absent, or null, for never. */
  readonly x?: number | null;
}

/** Counts notifications: in the server, or here where that one scans. */
export class Tallies {
  readonly #connection: Connection;
  readonly #layout: Layout;
  readonly #heads: Heads;

  constructor(connection: Connection, layout: Layout, heads: Heads) {
    this.#connection = connection;
    this.#layout = layout;
    this.#heads = heads;
  }

  /** See InboxIndex. Throws StaleAnswer. */
  async tally(feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[], now: number): Promise<Tally> {
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

  async #tally(counted: readonly Counted[], now: number): Promise<Tally> {
    const groups = await this.#groups(counted, now);
    const tails = await this.#heads.tailsOf(counted.map(({ f }) => f));
    const heads = counted.map(({ f, last }) => this.#heads.head(last, tails.get(f) ?? 1));
    const tally = { ...sum(counted, groups, now), heads };
    const tailOf = (index: number) => heads[index]?.tail ?? 1;
    if (tally.oldest.every((seq, index) => seq >= tailOf(index))) return tally;
    // Some of what was counted is being deleted, and perhaps not all of that was there: from its tail on, a feed is whole.
    const kept = counted.map((each, index) => ({ ...each, ranges: clip(each.ranges, tailOf(index), each.last) }));
    return this.#tally(kept, now);
  }

  /** What lies in the ranges. An answer without the last slot of each feed is older than the head. */
  async #groups(counted: readonly Counted[], now: number): Promise<Group[]> {
    const asked = counted.filter(({ ranges }) => ranges.length > 0);
    if (this.#layout.scans) return (await forEach(asked, (each) => this.#rows(each))).flat();
    const stretches = asked.flatMap((each) => each.ranges.map(([from, to]) => ({ counted: each, from, to })));
    const parts = Array.from({ length: Math.ceil(stretches.length / maxStretches) }, (_, index) =>
      stretches.slice(index * maxStretches, (index + 1) * maxStretches),
    );
    return (await forEach(parts, (part) => this.#grouped(part, now))).flat();
  }

  async #grouped(stretches: readonly Stretch[], now: number): Promise<Group[]> {
    const feeds = [...new Set(stretches.map(({ counted }) => counted))];
    const alive = { k: notification, x: { $not: { $lte: now } } };
    const $or: Filter<EntryDocument>[] = [
      ...stretches.map(({ counted: { f }, from, to }) => ({ f, s: { $gte: from, $lte: to }, ...alive })),
      ...feeds.map(({ f, last }) => ({ f, s: last })),
    ];
    const only = { $cond: [{ $in: ["$s", feeds.map(({ last }) => last)] }, "$s", 0] };
    const _id = { f: "$f", g: "$g", only };
    const $group = { _id, k: { $min: "$k" }, count: { $sum: 1 }, s: { $min: "$s" }, x: { $min: "$x" } };
    const options = { hint: "slot", batchSize: 20_000 };
    const name = this.#layout.all[0] ?? "";
    const groups = await this.#connection.aggregate<Group>(name, [{ $match: { $or } }, { $group }], options);
    for (const { f, last } of feeds) requireLast(f, last, groups);
    const isAsked = ({ f, only }: Group["_id"]) =>
      stretches.some(({ counted, from, to }) => counted.f === f && from <= only && only <= to);
    return groups.filter(({ _id }) => _id.only === 0 || isAsked(_id));
  }

  /** Each entry is a group of one. */
  async #rows({ f, ranges, last }: Counted): Promise<Group[]> {
    const filter = { f, s: { $gte: ranges[0]?.[0] ?? 1, $lte: last } };
    const options = { projection: { _id: 0, s: 1, k: 1, g: 1, x: 1 }, batchSize: 20_000 };
    const rows = await this.#connection.find<EntryDocument>(this.#layout.entries(f), filter, options);
    const groups = rows.map(({ s, k, g, x = null }) => ({ _id: { f, g, only: s }, k, count: 1, s, x }));
    requireLast(f, last, groups);
    const inRanges = withinAny(ranges);
    return groups.filter(({ s }) => inRanges(s));
  }
}

function requireLast(f: string, last: number, groups: readonly Group[]): void {
  if (groups.some(({ _id }) => _id.f === f && _id.only === last)) return;
  throw new StaleAnswer(`slot ${last} of ${f} is missing`);
}

/** Puts groups together. */
function sum(counted: readonly Counted[], groups: readonly Group[], now: number): Omit<Tally, "heads"> {
  const byCategory = new Map<string, number>();
  let nextExpiry = Number.POSITIVE_INFINITY;
  const byFeed = Map.groupBy(groups, ({ _id }) => _id.f);
  const oldest = counted.map(({ f, ranges }) => {
    let least = Number.POSITIVE_INFINITY;
    const mine = ranges.length === 0 ? [] : (byFeed.get(f) ?? []);
    for (const { _id, k, count, s, x } of mine) {
      const expires = x ?? Number.POSITIVE_INFINITY;
      if (k !== notification || expires <= now) continue;
      byCategory.set(_id.g, (byCategory.get(_id.g) ?? 0) + count);
      nextExpiry = Math.min(nextExpiry, expires);
      least = Math.min(least, s);
    }
    return least;
  });
  return { byCategory, nextExpiry, oldest };
}
