import type { Filter } from "mongodb";
import type { BatchPage, Entry, FeedKey, MessageLocation, Selection, SeqRanges } from "../../ports/store.ts";
import { clip, withinAny } from "../../util/seq-ranges.ts";
import { type Database, maxRanges } from "./database.ts";
import { batchName, type EntryDocument, feedName, feedOf, locationOf } from "./documents.ts";
import { type EntryReader, toEntry } from "./entries.ts";
import type { FeedBoundsReader } from "./feed-bounds.ts";

const noBody = new Uint8Array();
/** The highest limit that the protocol can carry. */
const maxLimit = 0x7fffffff;

/** Selects, finds and lists messages for InboxIndex. All methods throw StaleReadError. */
export class MongoInbox {
  readonly #database: Database;
  readonly #bounds: FeedBoundsReader;
  readonly #entries: EntryReader;

  constructor(database: Database, bounds: FeedBoundsReader, entries: EntryReader) {
    this.#database = database;
    this.#bounds = bounds;
    this.#entries = entries;
  }

  /** See InboxIndex. */
  async select(selection: Selection): Promise<Entry[]> {
    const { feed, ranges, order, bodies, limit } = selection;
    if (ranges.length === 0 || limit < 1) return [];
    const [bounds] = await this.#bounds.bounds([feed]);
    const clipped = clip(ranges, bounds?.tail ?? 1, bounds?.seq ?? 0);
    const inRanges = withinAny(ranges);
    const rows: EntryDocument[] = [];
    // The server can apply the limit only where it applies the ranges, too.
    const isExact = ranges.length <= maxRanges && limit <= maxLimit;
    const filter = { f: feedName(feed), ...seqFilter(clipped), ...filterOf(selection) };
    const found = this.#database.iterate<EntryDocument>("entries", filter, {
      sort: { s: order === "newest" ? -1 : 1 },
      batchSize: Math.min(limit, 1000),
      ...(bodies ? {} : { projection: { d: 0 } }),
      ...(isExact ? { limit } : {}),
    });
    for await (const row of found) {
      if (inRanges(row.s)) rows.push(row);
      if (rows.length === limit) break;
    }
    return bodies ? this.#entries.withBodies(rows) : rows.map((row) => toEntry(row, this.#bounds.epoch, noBody));
  }

  /** See InboxIndex. */
  async find(feeds: readonly FeedKey[], ids: readonly string[]): Promise<MessageLocation[]> {
    if (feeds.length === 0 || ids.length === 0) return [];
    const names = [...new Set(feeds.map(feedName))];
    const m = { $in: [...new Set(ids.map((id) => id.toLowerCase()))] };
    const filter = { m, f: { $in: names }, k: { $gt: 0 } };
    const found = await this.#database.find<EntryDocument>("entries", filter, { projection: { d: 0 } });
    const bounds = await this.#bounds.boundsByName(names);
    return found.filter(({ f, s }) => s >= (bounds.get(f)?.tail ?? 1)).map(locationOf);
  }

  /** See InboxIndex. A page cursor is the order of arrival of the last message, and its feed. */
  async batch(tenant: string, batchId: string, after: string, limit: number, now: number): Promise<BatchPage> {
    const rows: EntryDocument[] = [];
    for (let cursor = after, more = true; more && rows.length <= limit; ) {
      const page = await this.#batchRows(batchName(tenant, batchId), cursor, limit + 1, now);
      const bounds = await this.#bounds.boundsByName(page.map(({ f }) => f));
      rows.push(...page.filter(({ f, s }) => s >= (bounds.get(f)?.tail ?? 1)));
      more = page.length > limit;
      cursor = cursorAt(page.at(-1), after);
    }
    const taken = rows.slice(0, limit);
    const joined = await this.#entries.join(taken);
    const entries = joined.map(({ row, body }) => ({ ...toEntry(row, this.#bounds.epoch, body), feed: feedOf(row.f) }));
    return { entries, next: rows.length > limit ? cursorAt(taken.at(-1), after) : "" };
  }

  async #batchRows(b: string, after: string, limit: number, now: number): Promise<EntryDocument[]> {
    const [o, f] = after === "" ? [] : (JSON.parse(after) as [string, string]);
    const behind = o === undefined ? {} : { $or: [{ o: { $lt: o } }, { o, f: { $gt: f } }] };
    const filter = { b, x: { $not: { $lte: now } }, ...behind } as Filter<EntryDocument>;
    return this.#database.find("entries", filter, { sort: { o: -1, f: 1 }, limit, batchSize: limit });
  }
}

/** The page cursor of a row. */
function cursorAt(row: EntryDocument | undefined, otherwise: string): string {
  return row ? JSON.stringify([row.o, row.f]) : otherwise;
}

/** Numbers within ranges; if there are too many ranges, all numbers from the first to the last. */
function seqFilter(ranges: SeqRanges): Filter<EntryDocument> {
  const within = ([from, to]: readonly [number, number]) => ({ s: { $gte: from, $lte: to } });
  if (ranges.length > 1 && ranges.length <= maxRanges) return { $or: ranges.map(within) };
  return within([ranges[0]?.[0] ?? 1, ranges.at(-1)?.[1] ?? 0]);
}

/** The filters of a selection, but for feed and ranges. */
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
