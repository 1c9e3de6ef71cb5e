import type { Filter } from "mongodb";
import type { BatchPage, Entry, FeedKey, MessageLocation, Selection, SeqRanges } from "../../ports/store.ts";
import type { Connection } from "./connection.ts";
import { batchName, type EntryDocument, feedName, feedOf } from "./documents.ts";
import { type Entries, toEntry } from "./entries.ts";
import type { Heads } from "./heads.ts";
import type { Layout } from "./layout.ts";
import { clip, maxRanges, withinAny } from "./ranges.ts";
import { placeOf } from "./recall.ts";

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
    const filter = { f, ...seqFilter(clip(ranges, head?.tail ?? 1, head?.seq ?? 0)), ...filterOf(selection) };
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
  async find(feeds: readonly FeedKey[], ids: readonly string[]): Promise<MessageLocation[]> {
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

/** Numbers within ranges; of very many ranges, within the stretch that they lie in. */
function seqFilter(ranges: SeqRanges): Filter<EntryDocument> {
  const bounds = ([from, to]: readonly [number, number]) => ({ s: { $gte: from, $lte: to } });
  if (ranges.length > 1 && ranges.length <= maxRanges) return { $or: ranges.map(bounds) };
  return bounds([ranges[0]?.[0] ?? 1, ranges.at(-1)?.[1] ?? 0]);
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
