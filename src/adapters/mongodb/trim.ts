import type { StoreFigures } from "../../ports/store.ts";
import type { Database } from "./database.ts";
import { type EntryDocument, type IdempotencyRecord, stampAt } from "./documents.ts";
import type { FeedBoundsReader, FeedDocument } from "./feed-bounds.ts";
import { tombstone, trimmedTombstone } from "./tombstones.ts";

/** The most documents of one step. */
const stepSize = 256;
/** Retention by count deletes once in this many appends; until then, slots below the tail are invisible. */
const countStep = 256;
/** The most feeds that wait for a deletion by count. Those beyond it wait for their next `countStep` appends. */
const maxWaiting = 100_000;
/**
 * Retention by count does not delete younger slots, in ms: BatchWriter relies on this when it trusts an end for less
 * time.
 */
const deletableMs = 3_600_000;

/** What a step of trimming has done. */
interface Step {
  /** Documents that it found. */
  readonly found: number;
  /** Messages that went, each once. */
  readonly count: number;
}

/**
 * Trims feeds. A TTL index could not: it would delete the last slot of a feed, from which its numbers go on, and would
 * not raise the tail. The tail is raised first, on a majority; then what lies below it is deleted, but for the last
 * slot.
 */
export class Trimmer {
  readonly #database: Database;
  readonly #bounds: FeedBoundsReader;
  /** Tails that retention by count has raised, by feed: the entries below wait to be deleted. */
  readonly #waiting = new Map<string, number>();
  /** The deletion by count in progress, for a closing store to wait for. */
  #running: Promise<void> | undefined;
  #trimmed = 0;
  #seconds = 0;
  #closed = false;

  constructor(database: Database, bounds: FeedBoundsReader) {
    this.#database = database;
    this.#bounds = bounds;
  }

  /** See FeedLog. Does one step; 0 means that there was nothing left to do. */
  async trim(before: number, now: number): Promise<number> {
    for (;;) {
      const old = await this.#trimOld(before);
      const expired = await this.#trimExpired(now);
      const count = old.count + expired.count;
      // A step may find nothing but entries of messages of several feeds, which are counted with their records.
      if (count > 0 || old.found + expired.found === 0) return count;
    }
  }

  /** A feed has `entries` new entries, up to `seq`: now and then, what retention by count has made invisible is deleted in the background. */
  appended(f: string, seq: number, entries: number): void {
    const tail = this.#bounds.tailByCount(seq);
    if (tail === 1 || seq % countStep >= entries || this.#closed) return;
    if (this.#waiting.size >= maxWaiting && !this.#waiting.has(f)) return;
    this.#waiting.set(f, tail);
    this.#running ??= this.#deleteWaiting().finally(() => {
      this.#running = undefined;
    });
  }

  /** What retention by count has deleted, and how long that took. */
  get figures(): StoreFigures {
    return { trimmed: this.#trimmed, trimSeconds: this.#seconds };
  }

  /** Deletes nothing more by count. Resolves once the deletion in progress has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#waiting.clear();
    await this.#running;
  }

  /**
   * One feed after the other, in slices: when many feeds fill in step, or a feed has a million entries too many, the server
   * has one small command at a time to do. Never rejects.
   */
  async #deleteWaiting(): Promise<void> {
    for (let next = firstOf(this.#waiting); next && !this.#closed; next = firstOf(this.#waiting)) {
      const [f, tail] = next;
      this.#waiting.delete(f);
      const start = performance.now();
      // After a failure, the next deletion of this feed includes what this one left.
      await this.#deleteByCount(f, tail).catch(() => {});
      this.#seconds += (performance.now() - start) / 1000;
    }
  }

  /** Deletes the slots below the tail, but for the last one, as far as they are old enough. */
  async #deleteByCount(f: string, tail: number): Promise<void> {
    await this.#raiseTail(f, tail);
    const last = (await this.#bounds.lastSeqs([f])).get(f) ?? 0;
    const below = Math.min(tail, last);
    const oldest = { sort: { s: 1 }, limit: stepSize, projection: { _id: 0, s: 1, o: 1 } } as const;
    for (let found = stepSize; found === stepSize && !this.#closed; ) {
      const old = stampAt(this.#database.clock - deletableMs);
      const filter = { f, s: { $gt: 0, $lt: below } };
      const slots = await this.#database.find<EntryDocument>("entries", filter, oldest);
      // Orders ascend within a feed, nearly: what is behind a young slot can wait for it.
      const young = slots.findIndex(({ o }) => o >= old);
      const gone = young < 0 ? slots : slots.slice(0, young);
      found = gone.length;
      const end = gone.at(-1);
      if (!end) return;
      const slice = { f, s: { $gt: 0, $lte: end.s }, o: { $lt: old } };
      this.#trimmed += await this.#database.deleteMany<EntryDocument>("entries", slice);
    }
  }

  async #raiseTail(f: string, tail: number): Promise<void> {
    await this.#database.updateOne<FeedDocument>("feeds", { _id: f }, { $max: { tail } }, { upsert: true });
  }

  /** Oldest first. Records go once no entry that could need them is left. */
  async #trimOld(before: number): Promise<Step> {
    const filter = { p: { $lt: before }, s: { $gt: 0 } };
    const options = { sort: { p: 1 }, limit: stepSize, projection: { _id: 0, f: 1, s: 1, r: 1, p: 1 } } as const;
    const entries = await this.#database.find<EntryDocument>("entries", filter, options);
    if (entries.length === 0) return this.#deleteRecords({ p: { $lt: before } });
    let count = 0;
    for (const [f, rows] of Map.groupBy(entries, (entry) => entry.f)) {
      const young = await this.#firstSince(f, before);
      const oldest = rows.filter(({ s }) => s < young);
      const early = rows.filter(({ s }) => s > young);
      if (oldest.length > 0) count += await this.#deleteBelow(f, Math.max(...oldest.map(({ s }) => s)) + 1);
      if (early.length > 0) count += await this.#buryEarly(f, early);
    }
    return { found: entries.length, count };
  }

  /** The first slot of a feed that is not too old. */
  async #firstSince(f: string, before: number): Promise<number> {
    const filter = { f, s: { $gt: 0 }, p: { $gte: before } };
    const options = { sort: { s: 1 }, limit: 1, projection: { _id: 0, s: 1 } } as const;
    const [first] = await this.#database.find<EntryDocument>("entries", filter, options);
    return first?.s ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Old entries behind younger ones, stamped by a clock that was slow: the tail cannot pass them yet, so they get
   * tombstones.
   */
  async #buryEarly(f: string, rows: readonly Pick<EntryDocument, "s" | "r">[]): Promise<number> {
    const filter = { f, s: { $in: rows.map(({ s }) => s) } };
    await this.#database.updateMany<EntryDocument>("entries", filter, trimmedTombstone);
    return rows.filter(({ r }) => r === undefined).length;
  }

  /**
   * Raises the tail, then deletes what is below it; the last slot of the feed becomes a tombstone instead. Resolves to how
   * many messages of one feed went.
   */
  async #deleteBelow(f: string, tail: number): Promise<number> {
    await this.#raiseTail(f, tail);
    const last = (await this.#bounds.lastSeqs([f])).get(f) ?? 0;
    const below = { f, s: { $gt: 0, $lt: Math.min(tail, last) } };
    const single = await this.#database.deleteMany<EntryDocument>("entries", { ...below, r: { $exists: false } });
    await this.#database.deleteMany<EntryDocument>("entries", below);
    if (tail <= last) return single;
    const end = { f, s: last, p: { $exists: true } };
    const [gone] = await this.#database.find<EntryDocument>("entries", end, { projection: { r: 1 } });
    if (!gone) return single;
    await this.#database.updateOne<EntryDocument>("entries", end, trimmedTombstone);
    return gone.r === undefined ? single + 1 : single;
  }

  /** Expired entries get tombstones, wherever they lie: readers miss nothing, so the tail stays. */
  async #trimExpired(now: number): Promise<Step> {
    const filter = { x: { $lte: now }, s: { $gt: 0 } };
    const options = { limit: stepSize, projection: { f: 1, s: 1, r: 1 } };
    const entries = await this.#database.find<EntryDocument>("entries", filter, options);
    for (const [f, rows] of Map.groupBy(entries, (entry) => entry.f)) {
      const slots = { f, s: { $in: rows.map(({ s }) => s) } };
      await this.#database.updateMany<EntryDocument>("entries", slots, tombstone);
    }
    const records = await this.#deleteRecords({ x: { $lte: now } });
    const single = entries.filter(({ r }) => r === undefined);
    return { found: entries.length + records.found, count: single.length + records.count };
  }

  /** Frees keys. Messages of one feed were counted with their entry, so that only the others count. */
  async #deleteRecords(old: { p: { $lt: number } } | { x: { $lte: number } }): Promise<Step> {
    const filter = { ...old, s: 0 };
    const records = await this.#database.find<IdempotencyRecord>("entries", filter, { limit: stepSize });
    const f = { $in: records.map((record) => record.f) };
    if (records.length > 0) await this.#database.deleteMany<IdempotencyRecord>("entries", { ...filter, f });
    return { found: records.length, count: records.filter(({ to }) => to.length !== 1).length };
  }
}

function firstOf<K, V>(map: ReadonlyMap<K, V>): readonly [K, V] | undefined {
  return map.entries().next().value;
}
