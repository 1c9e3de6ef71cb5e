import type { Connection } from "./connection.ts";
import { type ClaimDocument, type EntryDocument, stampAt } from "./documents.ts";
import type { FeedDocument, Heads } from "./heads.ts";
import type { Layout } from "./layout.ts";
import type { Locks } from "./locks.ts";
import { tombstone } from "./recall.ts";

/** Documents of one step. */
const stepSize = 256;
/** Retention by count deletes so many at a time; they are invisible before that. */
const countStep = 256;
/** Slots that are younger are not deleted by count: see Flights, which trusts a head for less. */
const deletableMs = 3_600_000;

/**
 * Own trimming, for a TTL index would delete the last slot of a feed, from which its numbering goes on, and would tell
 * nobody. First the tail goes up, on a majority, then what lies below is deleted, and never the last slot of a feed.
 */
export class Trimmer {
  readonly #connection: Connection;
  readonly #layout: Layout;
  readonly #heads: Heads;
  readonly #locks: Locks;
  /** What is deleted by count, so that a closing store can wait for it. */
  readonly #running = new Set<Promise<void>>();

  constructor(connection: Connection, layout: Layout, heads: Heads, locks: Locks) {
    this.#connection = connection;
    this.#locks = locks;
    this.#layout = layout;
    this.#heads = heads;
  }

  /** See FeedLog. One step; answers 0 when there was nothing to do. */
  async trim(before: number, now: number): Promise<number> {
    for (;;) {
      const old = await this.#trimOld(before);
      const expired = await this.#trimExpired(now);
      const count = old.count + expired.count;
      // A step may consist of places of messages that are counted with their claims.
      if (count > 0 || old.found + expired.found === 0) return count;
    }
  }

  /** Called with the new end of a feed; now and then it deletes what retention by count has made invisible. */
  grown(f: string, seq: number): void {
    const tail = this.#heads.tailByCount(seq);
    if (tail === 1 || seq % countStep !== 0) return;
    const run = this.#deleteBelow(f, tail, { o: { $lt: stampAt(Date.now() - deletableMs) } }).then(
      () => {},
      // The next time does it.
      () => {},
    );
    this.#running.add(run);
    void run.then(() => this.#running.delete(run));
  }

  /** Waits for what is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** Oldest first; claims come when no entry is left that could need them. */
  async #trimOld(before: number): Promise<{ found: number; count: number }> {
    const filter = { p: { $lt: before }, s: { $gt: 0 } };
    const options = { sort: { p: 1 }, limit: stepSize, projection: { _id: 0, f: 1, s: 1, r: 1 } } as const;
    const entries = await this.#connection.findAcross<EntryDocument>(this.#layout.all, filter, options);
    if (entries.length === 0) return this.#dropClaims({ p: { $lt: before } });
    let count = 0;
    for (const [f, rows] of Map.groupBy(entries, (entry) => entry.f)) {
      const young = await this.#firstSince(f, before);
      const oldest = rows.filter(({ s }) => s < young);
      if (oldest.length > 0) count += await this.#deleteBelow(f, Math.max(...oldest.map(({ s }) => s)) + 1, {});
      count += await this.#emptyEarly(
        f,
        rows.filter(({ s }) => s > young),
      );
    }
    return { found: entries.length, count };
  }

  /** The first slot of a feed that is not too old. */
  async #firstSince(f: string, before: number): Promise<number> {
    const filter = { f, s: { $gt: 0 }, p: { $gte: before } };
    const options = { sort: { s: 1 }, limit: 1, projection: { _id: 0, s: 1 } } as const;
    const [first] = await this.#connection.find<EntryDocument>(this.#layout.entries(f), filter, options);
    return first?.s ?? Number.POSITIVE_INFINITY;
  }

  /** What a clock stamped too early goes like what has expired: what lies before it is not old. */
  async #emptyEarly(f: string, rows: readonly Pick<EntryDocument, "s" | "r">[]): Promise<number> {
    if (rows.length === 0) return 0;
    const change = { ...tombstone, $unset: { ...tombstone.$unset, p: "" as const } };
    const collection = this.#connection.collection<EntryDocument>(this.#layout.entries(f));
    await collection.updateMany({ f, s: { $in: rows.map(({ s }) => s) } }, change);
    return rows.filter(({ r }) => r === undefined).length;
  }

  /** Raises the tail, then deletes; the last slot is emptied instead. Answers how many messages of one feed went. */
  async #deleteBelow(f: string, tail: number, which: { o?: { $lt: string } }): Promise<number> {
    const feeds = this.#connection.collection<FeedDocument>("feeds");
    await this.#locks.exclusively(f, () => feeds.updateOne({ _id: f }, { $max: { tail } }, { upsert: true }));
    const last = (await this.#heads.lastOf([f])).get(f) ?? 0;
    const collection = this.#connection.collection<EntryDocument>(this.#layout.entries(f));
    const below = { f, s: { $gt: 0, $lt: Math.min(tail, last) }, ...which };
    const { deletedCount: single } = await collection.deleteMany({ ...below, r: { $exists: false } });
    await collection.deleteMany(below);
    if (tail <= last) return single;
    const end = { f, s: last, p: { $exists: true }, ...which };
    const [gone] = await this.#connection.find<EntryDocument>(this.#layout.entries(f), end, { projection: { r: 1 } });
    if (!gone) return single;
    await collection.updateOne(end, { ...tombstone, $unset: { ...tombstone.$unset, p: "" } });
    return gone.r === undefined ? single + 1 : single;
  }

  /** What has expired is emptied: its number stays taken, and nobody missed anything. */
  async #trimExpired(now: number): Promise<{ found: number; count: number }> {
    const filter = { x: { $lte: now }, s: { $gt: 0 } };
    const options = { limit: stepSize, projection: { f: 1, s: 1, r: 1 } };
    const entries = await this.#connection.findAcross<EntryDocument>(this.#layout.all, filter, options);
    for (const [f, rows] of Map.groupBy(entries, (entry) => entry.f)) {
      const collection = this.#connection.collection<EntryDocument>(this.#layout.entries(f));
      await collection.updateMany({ f, s: { $in: rows.map(({ s }) => s) } }, tombstone);
    }
    const claims = await this.#dropClaims({ x: { $lte: now } });
    const single = entries.filter(({ r }) => r === undefined);
    return { found: entries.length + claims.found, count: single.length + claims.count };
  }

  /** Keys become free. Messages of one feed were counted with their entry. */
  async #dropClaims(old: { p: { $lt: number } } | { x: { $lte: number } }): Promise<{ found: number; count: number }> {
    const name = this.#layout.claims;
    const claims = await this.#connection.find<ClaimDocument>(name, { ...old, s: 0 }, { limit: stepSize });
    const collection = this.#connection.collection<ClaimDocument>(name);
    if (claims.length > 0) await collection.deleteMany({ ...old, s: 0, f: { $in: claims.map(({ f }) => f) } });
    return { found: claims.length, count: claims.filter(({ to }) => to.length !== 1).length };
  }
}
