import type { BackgroundTask } from "./background.ts";
import type { Database } from "./database.ts";

/** The seqs of a block. Larger blocks make long ranges cheaper, and their ends dearer. */
export const defaultBlockSize = 512;
/** A block with more categories has no counts in its tally: they would take as long to read as its slots. */
const maxCategories = 64;
/** The most blocks that wait for their tally. Further blocks get theirs after a later count. */
const maxWanted = 10_000;

/** The notifications of a block, added up, including expired ones that have not been deleted yet. */
export interface Tally {
  /** The oldest seq of a notification; null for none. */
  readonly oldest: number | null;
  /** When the first of them expires, in ms since the Unix epoch; null for never. */
  readonly expireTime: number | null;
  /** Each category, followed by its count. */
  readonly categories: readonly (string | number)[];
}

/** A tally as it is stored: block, oldest, expireTime and categories; the block alone if there are too many categories. */
type StoredTally = readonly (string | number | null)[];

/**
 * Tallies of the complete blocks of feeds. Block n of size s has the seqs from n × s + 1 to (n + 1) × s, and its tally says how
 * many notifications of which category it holds. The transaction that completes a block writes its tally, and one that erases
 * something in the block deletes it, so that a tally is as durable and as exact as an index. Where a count finds none, as in a
 * file of an earlier version, it is written between calls.
 */
export class Tallies implements BackgroundTask {
  readonly pause = 4;
  readonly blockSize: number;
  readonly #db: Database;
  /** Blocks that were counted without a tally, by feed and block. */
  readonly #wanted = new Map<string, readonly [feed: number, block: number]>();

  constructor(db: Database, blockSize = defaultBlockSize) {
    this.#db = db;
    this.blockSize = blockSize;
  }

  /** Whether a slice has something to do. */
  get hasWork(): boolean {
    return this.#wanted.size > 0;
  }

  /** The running transaction has appended the entry with this seq to a feed. */
  appended(feed: number, seq: number): void {
    if (seq % this.blockSize === 0) this.#write(feed, seq / this.blockSize - 1);
  }

  /** The running transaction changes an entry, or deletes it. */
  erased(feed: number, seq: number): void {
    const block = Math.floor((seq - 1) / this.blockSize);
    this.#db.sql("DELETE FROM tallies WHERE feed = ? AND block = ?").run(feed, block);
  }

  /** The running transaction deletes all entries of a feed up to this seq, which is below its tail. */
  trimmed(feed: number, seq: number): void {
    this.#db.sql("DELETE FROM tallies WHERE feed = ? AND block < ?").run(feed, Math.floor(seq / this.blockSize));
  }

  /**
   * Returns the tallies of ascending blocks of a feed that have one with counts. Blocks without a tally get one between calls.
   * The tally of a block that begins below the tail may be wrong.
   */
  read(feed: number, blocks: readonly number[]): ReadonlyMap<number, Tally> {
    const { json } = this.#db
      .sql(
        `SELECT '[' || group_concat(t.json) || ']' AS json FROM json_each(?) r CROSS JOIN tallies t
         WHERE t.feed = ? AND t.block BETWEEN r.value ->> 0 AND r.value ->> 1`,
      )
      .get(JSON.stringify(runsOf(blocks)), feed) as { json: string | null };
    const tallies = new Map<number, Tally>();
    const stored = json === null ? [] : (JSON.parse(json) as StoredTally[]);
    for (const [block, oldest, expireTime, ...categories] of stored) {
      // Too many categories.
      if (oldest === undefined) continue;
      tallies.set(block as number, { oldest, expireTime, categories } as Tally);
    }
    if (stored.length < blocks.length) this.#want(feed, blocks, new Set(stored.map(([block]) => block as number)));
    return tallies;
  }

  /** Writes missing tallies, in one transaction. After a failure, they stay missing until they are counted again. */
  slice(budgetMs: number): boolean {
    const end = performance.now() + budgetMs;
    const done: string[] = [];
    try {
      this.#db.transaction(() => {
        for (const [key, [feed, block]] of this.#wanted) {
          if (this.#isKept(feed, block)) this.#write(feed, block);
          done.push(key);
          if (performance.now() > end) return;
        }
      });
    } catch (error) {
      this.#wanted.clear();
      throw error;
    }
    for (const key of done) this.#wanted.delete(key);
    return this.hasWork;
  }

  #want(feed: number, blocks: readonly number[], known: ReadonlySet<number>): void {
    for (const block of blocks) {
      if (this.#wanted.size >= maxWanted) return;
      if (!known.has(block)) this.#wanted.set(`${feed}/${block}`, [feed, block]);
    }
  }

  /** Whether a block is complete, which a failed transaction may have undone, and no part of it is below the tail. */
  #isKept(feed: number, block: number): boolean {
    const [first, last] = this.#seqsOf(block);
    const kept = this.#db.sql("SELECT 1 FROM feeds WHERE id = ? AND tail <= ?").get(feed, first);
    return (
      kept !== undefined &&
      this.#db.sql("SELECT 1 FROM entries WHERE feed = ? AND seq >= ? LIMIT 1").get(feed, last) !== undefined
    );
  }

  /** Counts a block and writes its tally. */
  #write(feed: number, block: number): void {
    const { categories, expire_time, oldest } = this.#db
      .sql(
        `SELECT json_group_array(e.category) AS categories, min(e.expire_time) AS expire_time, min(e.seq) AS oldest
         FROM entries e WHERE e.feed = ? AND e.seq BETWEEN ? AND ? AND e.kind = 1`,
      )
      .get(feed, ...this.#seqsOf(block)) as { categories: string; expire_time: number | null; oldest: number | null };
    const counts = new Map<string, number>();
    for (const category of JSON.parse(categories) as string[]) counts.set(category, (counts.get(category) ?? 0) + 1);
    const tally: StoredTally =
      counts.size > maxCategories ? [block] : [block, oldest, expire_time, ...[...counts].flat()];
    this.#db.sql("INSERT OR REPLACE INTO tallies VALUES (?, ?, ?)").run(feed, block, JSON.stringify(tally));
  }

  #seqsOf(block: number): [first: number, last: number] {
    return [block * this.blockSize + 1, (block + 1) * this.blockSize];
  }
}

/** Joins consecutive ones of ascending numbers into runs. */
function runsOf(numbers: readonly number[]): [from: number, to: number][] {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs;
}
