import type { Filter } from "mongodb";
import type { BatchPage, Entry, FeedKey, Place, Selection, SeqRanges, Tally } from "../../store.ts";
import type { Connection } from "./connection.ts";
import { batchName, type EntryDocument, feedName, feedOf } from "./documents.ts";
import { type Entries, toEntry } from "./entries.ts";
import { type Heads, StaleAnswer } from "./heads.ts";
import type { Layout } from "./layout.ts";
import { placeOf } from "./recall.ts";

/** More ranges than that are read as one stretch, and told apart here. */
const maxRanges = 16;
const notification = 1;
const nothing = new Uint8Array();

/** The questions of the inbox. */
export class MongoInbox {
  readonly #connection: Connection;
  readonly #layout: Layout;
  readonly #heads: Heads;
  readonly #entries: Entries;

  constructor(connection: Connection, layout: Layout, heads: Heads, entries: Entries) {
    this.#connection = connection;
    this.#layout = layout;
    this.#heads = heads;
    this.#entries = entries;
  }

  /** See InboxIndex. */
  async select(selection: Selection): Promise<Entry[]> {
    const { feed, ranges, order, bodies, limit } = selection;
    if (ranges.length === 0 || limit < 1) return [];
    const [head] = await this.#heads.heads([feed]);
    const f = feedName(feed);
    const inRanges = withinAny(ranges);
    const filter = { f, ...seqFilter(ranges, head?.tail ?? 1, head?.seq ?? 0), ...filterOf(selection) };
    const rows: EntryDocument[] = [];
    // The limit is the driver's batch only where rows of one stretch may still drop out.
    const whole = ranges.length <= maxRanges && limit <= 0x7fffffff;
    const cursor = this.#connection.collection<EntryDocument>(this.#layout.entries(f)).find(filter, {
      sort: { s: order === "newest" ? -1 : 1 },
      ...(bodies ? {} : { projection: { d: 0 } }),
      ...(whole ? { limit, batchSize: Math.min(limit, 1000) } : { batchSize: Math.min(limit, 1000) }),
    });
    for await (const row of cursor) {
      if (inRanges(row.s)) rows.push(row);
      if (rows.length === limit) break;
    }
    return bodies ? this.#entries.withBodies(rows) : rows.map((row) => toEntry(row, this.#heads.epoch, nothing));
  }

  /** See InboxIndex. */
  async tally(feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[], now: number): Promise<Tally> {
    const byCategory = new Map<string, number>();
    let nextExpiry = Number.POSITIVE_INFINITY;
    const names = feeds.map(({ feed }) => feedName(feed));
    // Before the rows: these must not be older than what the heads promise.
    const last = await this.#heads.lastOf(names);
    const rows = await Promise.all(
      feeds.map(({ ranges }, index) => this.#counted(names[index] ?? "", ranges, last.get(names[index] ?? "") ?? 0)),
    );
    const tails = await this.#heads.tailsOf(names);
    const heads = names.map((f) => this.#heads.head(last.get(f) ?? 0, tails.get(f) ?? 1));
    const oldest = rows.map((some, index) => {
      let least = Number.POSITIVE_INFINITY;
      for (const { s, k, g, x = Number.POSITIVE_INFINITY } of some) {
        if (k !== notification || x <= now || s < (heads[index]?.tail ?? 1)) continue;
        byCategory.set(g, (byCategory.get(g) ?? 0) + 1);
        nextExpiry = Math.min(nextExpiry, x);
        least = Math.min(least, s);
      }
      return least;
    });
    return { byCategory, nextExpiry, oldest, heads };
  }

  /** Slots within ranges up to the last one of the feed. */
  async #counted(f: string, ranges: SeqRanges, last: number): Promise<EntryDocument[]> {
    if (ranges.length === 0 || last === 0) return [];
    const from = this.#heads.tailByCount(last);
    // The last slot comes along, to see that the answer is not older than the head.
    const filter = { f, ...seqFilter([...ranges, [last, last]], from, last) };
    const options = { projection: { _id: 0, s: 1, k: 1, g: 1, x: 1 }, batchSize: 20_000 };
    const rows = await this.#connection.find<EntryDocument>(this.#layout.entries(f), filter, options);
    if (!rows.some(({ s }) => s === last)) throw new StaleAnswer(`slot ${last} is missing`);
    const inRanges = withinAny(ranges);
    return rows.filter(({ s }) => inRanges(s));
  }

  /** See InboxIndex. */
  async find(feeds: readonly FeedKey[], ids: readonly string[]): Promise<Place[]> {
    if (feeds.length === 0 || ids.length === 0) return [];
    const names = [...new Set(feeds.map(feedName))];
    const m = { $in: [...new Set(ids.map((id) => id.toLowerCase()))] };
    const found = await Promise.all(
      [...this.#layout.group(names)].map(([name, some]) =>
        this.#connection.find<EntryDocument>(name, { m, f: { $in: some }, k: { $gt: 0 } }, { projection: { d: 0 } }),
      ),
    );
    const heads = await this.#heads.headsOf(names);
    return found
      .flat()
      .filter(({ f, s }) => s >= (heads.get(f)?.tail ?? 1))
      .map(placeOf);
  }

  /** See InboxIndex. A place in a batch is a message's order of arrival, and its feed. */
  async batch(tenant: string, batchId: string, after: string, limit: number, now: number): Promise<BatchPage> {
    const rows: EntryDocument[] = [];
    for (let place = after, more = true; more && rows.length <= limit; ) {
      const page = await this.#batchRows(batchName(tenant, batchId), place, limit + 1, now);
      const heads = await this.#heads.headsOf(page.map(({ f }) => f));
      rows.push(...page.filter(({ f, s }) => s >= (heads.get(f)?.tail ?? 1)));
      more = page.length > limit;
      place = placeInBatch(page.at(-1), after);
    }
    const taken = rows.slice(0, limit);
    const joined = await this.#entries.joined(taken);
    const entries = joined.map(({ row, body }) => ({ ...toEntry(row, this.#heads.epoch, body), feed: feedOf(row.f) }));
    return { entries, next: rows.length > limit ? placeInBatch(taken.at(-1), after) : "" };
  }

  async #batchRows(b: string, after: string, limit: number, now: number): Promise<EntryDocument[]> {
    const [o, f] = after === "" ? [] : (JSON.parse(after) as [string, string]);
    const behind = o === undefined ? {} : { $or: [{ o: { $lt: o } }, { o, f: { $gt: f } }] };
    const filter = { b, x: { $not: { $lte: now } }, ...behind } as Filter<EntryDocument>;
    const options = { sort: { o: -1, f: 1 }, limit, batchSize: limit } as const;
    const found = await this.#connection.findAcross<EntryDocument>(this.#layout.all, filter, options);
    return found.sort(byArrival).slice(0, limit);
  }
}

function placeInBatch(row: EntryDocument | undefined, otherwise: string): string {
  return row ? JSON.stringify([row.o, row.f]) : otherwise;
}

/** Newest first, as the index has it: texts by their bytes. */
function byArrival(a: EntryDocument, b: EntryDocument): number {
  if (a.o !== b.o) return a.o < b.o ? 1 : -1;
  return Buffer.compare(Buffer.from(a.f), Buffer.from(b.f));
}

/** Numbers within ranges, and from the tail to the head; of very many ranges, within the stretch that they lie in. */
function seqFilter(ranges: SeqRanges, tail: number, head: number): Filter<EntryDocument> {
  const clipped = ranges.map(([from, to]) => [Math.max(from, tail), Math.min(to, head)] as const);
  const some = clipped.filter(([from, to]) => from <= to);
  const bounds = ([from, to]: readonly [number, number]) => ({ s: { $gte: from, $lte: to } });
  if (some.length > 1 && some.length <= maxRanges) return { $or: some.map(bounds) };
  if (some.length === 0) return bounds([1, 0]);
  return bounds([Math.min(...some.map(([from]) => from)), Math.max(...some.map(([, to]) => to))]);
}

/** Whether a number lies in one of some ascending ranges. */
function withinAny(ranges: SeqRanges): (seq: number) => boolean {
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

/** What a selection's filters ask of an entry. */
function filterOf(selection: Selection): Filter<EntryDocument> {
  const { feed, kinds, categories, objectType, objectId, actorId, batchId, startTime, endTime, now, expired } =
    selection;
  const from = startTime > Number.NEGATIVE_INFINITY ? { $gte: startTime } : {};
  const to = endTime < Number.POSITIVE_INFINITY ? { $lt: endTime } : {};
  return {
    k: kinds.length > 0 ? { $in: [...kinds] } : { $gt: 0 },
    ...(categories.length > 0 ? { g: { $in: [...categories] } } : {}),
    ...(actorId ? { a: actorId } : {}),
    ...(objectType ? { y: objectType } : {}),
    ...(objectId ? { i: objectId } : {}),
    ...(batchId ? { b: batchName(feed.tenant, batchId) } : {}),
    ...("$gte" in from || "$lt" in to ? { p: { ...from, ...to } } : {}),
    x: expired ? { $lte: now } : { $not: { $lte: now } },
  };
}
