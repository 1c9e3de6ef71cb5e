import type { MessageLocation, Recalled } from "../../ports/store.ts";
import { mapLimited } from "../../util/limit.ts";
import { type Database, maxParallel } from "./database.ts";
import { type EntryDocument, feedName, feedOf, type IdempotencyRecord, locationOf, orderOf } from "./documents.ts";
import type { FeedBoundsReader } from "./feed-bounds.ts";
import { recalledTombstone, tombstone } from "./tombstones.ts";

/** Takes messages out of their feeds. All methods throw StaleReadError. */
export class MongoRecaller {
  readonly #database: Database;
  readonly #bounds: FeedBoundsReader;

  constructor(database: Database, bounds: FeedBoundsReader) {
    this.#database = database;
    this.#bounds = bounds;
  }

  /** See FeedLog. */
  async recall(tenant: string, ids: readonly string[]): Promise<Recalled[]> {
    const filter = { m: { $in: [...new Set(ids.map((id) => id.toLowerCase()))] }, k: { $ne: 0 } };
    const found = await this.#database.find<EntryDocument>("entries", filter, { projection: { d: 0 } });
    const all = found.filter(({ f }) => feedOf(f).tenant === tenant);
    const entries = all.filter(({ k }) => k > 0);
    // Mark the records first: a repetition under the key, coming in between, would append the message again.
    await this.#markRecords(entries);
    await this.#bury(entries, recalledTombstone);
    const visible = await this.#visible(all);
    return visible.map(({ m, f, s, k }) => ({ id: m, feed: feedOf(f), seq: s, again: k < 0 }));
  }

  /**
   * Takes back the message of a record, whose entries have the deduplication key `c`. Resolves to where readers could
   * see it, for one of several callers who take it back at the same time; for the others, to nothing.
   */
  async takeBack(record: IdempotencyRecord, c: string): Promise<MessageLocation[]> {
    const feeds = record.to.map((name) => feedName({ tenant: record.tenant, name }));
    const filter = { f: { $in: feeds }, c, k: { $gt: 0 } };
    const entries = await this.#database.find<EntryDocument>("entries", filter, { projection: { d: 0 } });
    if (entries.length === 0 || (await this.#bury(entries, tombstone)) === 0) return [];
    return (await this.#visible(entries)).map(locationOf);
  }

  async #markRecords(entries: readonly EntryDocument[]): Promise<void> {
    const shared = new Map(entries.filter(({ r }) => r).map((entry) => [entry.r, entry]));
    const own = entries.filter(({ q }) => q);
    await mapLimited(maxParallel, [...shared.values(), ...own], ({ r, q, c, m, p = 0 }) => {
      // A record of one feed is identified by its order, because a later message may hold the key by now.
      const filter = r === undefined ? { f: q ?? "", s: 0, o: orderOf(c) } : { f: r, s: 0, id: m };
      const change = { $set: { gone: { id: m, p } }, $unset: { d: "", e: "" } } as const;
      return this.#database.updateOne<IdempotencyRecord>("entries", filter, change);
    });
  }

  /** Makes entries tombstones, unless they are by now. Resolves to how many this call made. */
  async #bury(entries: readonly EntryDocument[], change: typeof tombstone | typeof recalledTombstone): Promise<number> {
    const byKey = [...Map.groupBy(entries, ({ c }) => c)];
    const counts = await mapLimited(maxParallel, byKey, ([c, some]) => {
      const filter = { f: { $in: some.map(({ f }) => f) }, c, k: { $gt: 0 } };
      return this.#database.updateMany<EntryDocument>("entries", filter, change);
    });
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** The entries that are not below the tails of their feeds. */
  async #visible(entries: readonly EntryDocument[]): Promise<EntryDocument[]> {
    const bounds = await this.#bounds.boundsByName(entries.map(({ f }) => f));
    return entries.filter(({ f, s }) => s >= (bounds.get(f)?.tail ?? 1));
  }
}
