import type { FeedBounds, FeedKey } from "../../ports/store.ts";
import { Batcher } from "../../util/batcher.ts";
import { mapLimited } from "../../util/limit.ts";
import { LruCache } from "../../util/lru.ts";
import { type Connection, maxParallel } from "./connection.ts";
import { type EntryDocument, feedName } from "./documents.ts";
import type { Layout } from "./layout.ts";

/** Feeds whose last number is kept in memory; a forgotten one costs one look at an index. */
const knownFeeds = 200_000;
/** Feeds of one question. */
const maxTogether = 250;
/** A feed that has gone on by fewer slots than that is found together with others. */
const nearSlots = 8;

/** `feeds`: made when a feed is trimmed for the first time. Shard key `{ _id: "hashed" }`. */
export interface FeedDocument {
  /** See feedName. */
  readonly _id: string;
  /** The oldest number that was not trimmed; raised before anything below it is deleted. */
  readonly tail: number;
}

/** A feed as this node knows it: durable on a majority, whoever wrote it. */
interface Known {
  readonly seq: number;
  /** When it was learned, by the time of Inserted. */
  readonly time: number;
  /** False: another node has gone on since. */
  current: boolean;
}

/** A server answered from a state that is older than what is known to be durable: its answer must not be used. */
export class StaleAnswer extends Error {}

/** Where feeds begin and end, never from anything that could be rolled back. */
export class Heads {
  readonly epoch: number;
  readonly #connection: Connection;
  readonly #layout: Layout;
  readonly #keep: number;
  readonly #known = new LruCache<string, Known>({ entries: knownFeeds });
  readonly #ends = new Batcher(maxTogether, (feeds) => (this.#layout.scans ? this.#scan(feeds) : this.#seek(feeds)));
  readonly #tails = new Batcher(maxTogether, (feeds) => this.#findTails(feeds));

  constructor(connection: Connection, layout: Layout, { epoch, keep }: { epoch: number; keep: number }) {
    this.#connection = connection;
    this.#layout = layout;
    this.epoch = epoch;
    this.#keep = keep;
  }

  /** The last number that may be built on, and when it was learned. */
  current(f: string): { readonly seq: number; readonly time: number } | undefined {
    const known = this.#known.get(f);
    return known?.current ? known : undefined;
  }

  /** The last number that is known to be durable, 0 for none. */
  floor(f: string): number {
    return this.#known.get(f)?.seq ?? 0;
  }

  /** Learns what is durable on a majority. */
  learn(f: string, seq: number, time: number): void {
    const floor = this.floor(f);
    this.#known.set(f, { seq: Math.max(seq, floor), time, current: true });
  }

  /** Another node has written, or it is not known what became of a write: the end has to be read again. */
  doubt(f: string): void {
    const known = this.#known.get(f);
    if (known) known.current = false;
  }

  /** Last numbers, read from a majority. Throws StaleAnswer. */
  async lastOf(feeds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const unique = [...new Set(feeds)];
    // From before the question: what this node appends meanwhile need not be in the answer.
    const floors = new Map(unique.map((f) => [f, this.floor(f)]));
    const found = new Map<string, number>();
    await Promise.all(unique.map(async (f) => found.set(f, (await this.#ends.get(f)) ?? 0)));
    for (const [f, seq] of found) {
      if (seq < (floors.get(f) ?? 0)) throw new StaleAnswer(`${f} was read at ${seq}`);
      this.learn(f, seq, this.#connection.now);
    }
    return found;
  }

  /** Oldest numbers that were not deleted, read from a majority. */
  async tailsOf(feeds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const tails = new Map<string, number>();
    const find = async (f: string) => {
      const tail = await this.#tails.get(f);
      if (tail !== undefined) tails.set(f, tail);
    };
    await Promise.all([...new Set(feeds)].map(find));
    return tails;
  }

  /** Heads by name. The tails are read last: nothing that a reader saw before was deleted without being told of. */
  async headsOf(feeds: readonly string[]): Promise<ReadonlyMap<string, FeedBounds>> {
    const last = await this.lastOf(feeds);
    const tails = await this.tailsOf(feeds);
    return new Map(feeds.map((f) => [f, this.head(last.get(f) ?? 0, tails.get(f) ?? 1)]));
  }

  /** Heads in the order given. */
  async heads(feeds: readonly FeedKey[]): Promise<FeedBounds[]> {
    const names = feeds.map(feedName);
    const heads = await this.headsOf(names);
    return names.map((f) => heads.get(f) as FeedBounds);
  }

  /** A head; retention by count is exact at once, whatever has been deleted so far. */
  head(seq: number, tail: number): FeedBounds {
    return { epoch: this.epoch, seq, tail: Math.max(tail, this.tailByCount(seq)) };
  }

  /** The oldest number that retention by count keeps. */
  tailByCount(seq: number): number {
    return Math.max(1, seq - this.#keep + 1);
  }

  async #findTails(ids: readonly string[]): Promise<ReadonlyMap<string, number>> {
    // By equality where it is one: a server that scans knows no other way to use the index.
    const filter = ids.length === 1 ? { _id: ids[0] as string } : { _id: { $in: ids } };
    const documents = await this.#connection.find<FeedDocument>("feeds", filter);
    return new Map(documents.map(({ _id, tail }) => [_id, tail]));
  }

  /** Feeds that have hardly moved are found together; each of the others costs a question of its own. */
  async #seek(feeds: readonly string[]): Promise<Map<string, number>> {
    const known = feeds.filter((f) => this.floor(f) > 0);
    const last = known.length > 1 ? await this.#near(known) : new Map<string, number>();
    const moved = feeds.filter((f) => !last.has(f));
    const options = { sort: { s: -1 }, limit: 1, projection: { _id: 0, s: 1 } } as const;
    const found = await mapLimited(maxParallel, moved, (f) =>
      this.#connection.find<EntryDocument>(this.#layout.entries(f), { f }, options),
    );
    for (const [index, f] of moved.entries()) last.set(f, found[index]?.[0]?.s ?? 0);
    return last;
  }

  /** Of feeds whose ends were known, the ends that lie close behind: a feed has no holes, so the first missing slot tells. */
  async #near(feeds: readonly string[]): Promise<Map<string, number>> {
    const floors = new Map(feeds.map((f) => [f, this.floor(f)]));
    const stretches = feeds.map((f) => ({ f, s: { $gte: this.floor(f), $lte: this.floor(f) + nearSlots } }));
    // Planned once, and not for each feed.
    const options = { projection: { _id: 0, f: 1, s: 1 }, hint: "slot", batchSize: feeds.length * (nearSlots + 1) };
    const rows = await this.#connection.find<EntryDocument>(this.#layout.all[0] ?? "", { $or: stretches }, options);
    const last = new Map<string, number>();
    for (const [f, slots] of Map.groupBy(rows, ({ f }) => f)) {
      const floor = floors.get(f) ?? 0;
      const end = Math.max(...slots.map(({ s }) => s));
      if (slots.some(({ s }) => s === floor) && end < floor + nearSlots) last.set(f, end);
    }
    return last;
  }

  /** Once over each collection, for all its feeds. */
  async #scan(feeds: readonly string[]): Promise<Map<string, number>> {
    const last = new Map<string, number>();
    await mapLimited(maxParallel, [...this.#layout.group(feeds)], async ([name, some]) => {
      const projection = { _id: 0, f: 1, s: 1 };
      const rows = await this.#connection.find<EntryDocument>(name, { f: { $in: some } }, { projection });
      for (const { f, s } of rows) last.set(f, Math.max(last.get(f) ?? 0, s));
    });
    return last;
  }
}
