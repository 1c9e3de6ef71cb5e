import type { FeedBounds, FeedKey } from "../../ports/store.ts";
import { Batcher } from "../../util/batcher.ts";
import { mapLimited } from "../../util/limit.ts";
import { type Database, maxParallel } from "./database.ts";
import { type EntryDocument, feedName } from "./documents.ts";
import type { KnownEnds } from "./known-ends.ts";

/** The most feeds of one query. */
const maxFeeds = 250;
/** The ends of feeds that have grown by fewer slots than this are read with one query. */
const nearSlots = 8;

/** In `feeds`; made when a feed is trimmed for the first time. Shard key `{ _id: "hashed" }`. */
export interface FeedDocument {
  /** See feedName. */
  readonly _id: string;
  /** The oldest number that was not trimmed. It is raised before anything below it is deleted. */
  readonly tail: number;
}

/**
 * The answer is older than a state that is known to be durable, which can happen on a primary that was just elected. It
 * must not be used.
 */
export class StaleReadError extends Error {}

/** Reads where feeds begin and end, only from a majority. What is asked in one event-loop tick shares queries. */
export class FeedBoundsReader {
  /** The epoch of all feeds. */
  readonly epoch: number;
  readonly #database: Database;
  readonly #known: KnownEnds;
  readonly #keep: number;
  readonly #ends = new Batcher(maxFeeds, (feeds) => this.#database.lastSeqs?.(feeds) ?? this.#readEnds(feeds));
  readonly #tails = new Batcher(maxFeeds, (feeds) => this.#readTails(feeds));

  /** `keep`: messages that retention by count keeps in a feed. */
  constructor(database: Database, known: KnownEnds, { epoch, keep }: { epoch: number; keep: number }) {
    this.#database = database;
    this.#known = known;
    this.epoch = epoch;
    this.#keep = keep;
  }

  /** The last numbers of feeds by name, 0 for none. Throws StaleReadError. */
  async lastSeqs(feeds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const unique = [...new Set(feeds)];
    // Read before the query, which need not see what this node appends in the meantime.
    const floors = new Map(unique.map((f) => [f, this.#known.floor(f)]));
    const found = new Map<string, number>();
    await Promise.all(unique.map(async (f) => found.set(f, (await this.#ends.get(f)) ?? 0)));
    for (const [f, seq] of found) {
      const floor = floors.get(f) ?? 0;
      if (seq < floor) throw new StaleReadError(`${f} ends at ${seq}, but is known to reach ${floor}`);
      this.#known.learn(f, seq, this.#database.now);
    }
    return found;
  }

  /** The oldest numbers that were not trimmed, by feed name; feeds that were never trimmed are left out. */
  async tails(feeds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const tails = new Map<string, number>();
    const find = async (f: string) => {
      const tail = await this.#tails.get(f);
      if (tail !== undefined) tails.set(f, tail);
    };
    await Promise.all([...new Set(feeds)].map(find));
    return tails;
  }

  /**
   * Bounds by feed name. The tails are read after the ends, and after the entries that the caller has read: whatever
   * was deleted before that is below its tail. Throws StaleReadError.
   */
  async boundsByName(feeds: readonly string[]): Promise<ReadonlyMap<string, FeedBounds>> {
    const last = await this.lastSeqs(feeds);
    const tails = await this.tails(feeds);
    return new Map(feeds.map((f) => [f, this.boundsOf(last.get(f) ?? 0, tails.get(f) ?? 1)]));
  }

  /** See FeedLog. Throws StaleReadError. */
  async bounds(feeds: readonly FeedKey[]): Promise<FeedBounds[]> {
    const names = feeds.map(feedName);
    const bounds = await this.boundsByName(names);
    return names.map((f) => bounds.get(f) as FeedBounds);
  }

  /**
   * The bounds of a feed with a last number and a stored tail. Retention by count is exact, though deletion comes
   * later.
   */
  boundsOf(seq: number, tail: number): FeedBounds {
    return { epoch: this.epoch, seq, tail: Math.max(tail, this.tailByCount(seq)) };
  }

  /** The oldest number that retention by count keeps in a feed that ends at `seq`. */
  tailByCount(seq: number): number {
    return Math.max(1, seq - this.#keep + 1);
  }

  async #readTails(feeds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const documents = await this.#database.find<FeedDocument>("feeds", { _id: { $in: feeds } });
    return new Map(documents.map(({ _id, tail }) => [_id, tail]));
  }

  /** Feeds that have hardly grown share a query; each of the others takes one of its own. */
  async #readEnds(feeds: readonly string[]): Promise<Map<string, number>> {
    const known = feeds.filter((f) => this.#known.floor(f) > 0);
    const last = known.length > 1 ? await this.#readNearEnds(known) : new Map<string, number>();
    const others = feeds.filter((f) => !last.has(f));
    const options = { sort: { s: -1 }, limit: 1, projection: { _id: 0, s: 1 } } as const;
    const found = await mapLimited(maxParallel, others, (f) =>
      this.#database.find<EntryDocument>("entries", { f }, options),
    );
    for (const [index, f] of others.entries()) last.set(f, found[index]?.[0]?.s ?? 0);
    return last;
  }

  /**
   * The ends that lie within a few slots of known ones. As feeds have no holes, the first missing slot marks the end.
   */
  async #readNearEnds(feeds: readonly string[]): Promise<Map<string, number>> {
    const floors = new Map(feeds.map((f) => [f, this.#known.floor(f)]));
    const $or = [...floors].map(([f, floor]) => ({ f, s: { $gte: floor, $lte: floor + nearSlots } }));
    // With the hint, the server plans once, and not for each feed.
    const options = { projection: { _id: 0, f: 1, s: 1 }, hint: "slot", batchSize: feeds.length * (nearSlots + 1) };
    const rows = await this.#database.find<EntryDocument>("entries", { $or }, options);
    const last = new Map<string, number>();
    for (const [f, slots] of Map.groupBy(rows, (row) => row.f)) {
      const floor = floors.get(f) ?? 0;
      const end = Math.max(...slots.map(({ s }) => s));
      if (slots.some(({ s }) => s === floor) && end < floor + nearSlots) last.set(f, end);
    }
    return last;
  }
}
