import type { BackgroundTask } from "./background.ts";
import type { Database } from "./database.ts";
import { MessageRows } from "./message-rows.ts";
import { Tallies } from "./tallies.ts";
import { UsageCount } from "./usage-count.ts";

/** Entries that are deleted between two looks at the clock. */
const chunk = 64;
/** Feeds that are looked at together, at the start, for entries that were not deleted before the last end. */
const feedsAtOnce = 200;

/** What a trimmer has done, and has to do. */
export interface TrimFigures {
  /** Entries that were deleted so far. */
  readonly trimmed: number;
  /** Entries that wait to be deleted; readers do not see them any more. */
  readonly waiting: number;
  /** Time that was spent on it so far, in seconds. */
  readonly seconds: number;
}

/** What one slice has deleted of a feed. */
interface Deleted {
  readonly feed: number;
  count: number;
  isDone: boolean;
}

interface Surplus {
  readonly entries: number;
  /** The time that decides which keys of messages still hold, in ms since the Unix epoch. */
  readonly now: number;
}

/**
 * Deletes the entries below the tails of feeds, which retention by count has raised. Readers do not see such entries, so
 * there is no hurry: it is done in slices between calls. A restart forgets which feeds have some, so all feeds are looked
 * at once after it.
 */
export class CountTrimmer implements BackgroundTask {
  readonly pause = 1;
  readonly #db: Database;
  readonly #rows: MessageRows;
  readonly #tallies: Tallies;
  /** By the id of a feed. */
  readonly #surplus = new Map<number, Surplus>();
  #waiting = 0;
  #trimmed = 0;
  #seconds = 0;
  /** The feed up to which all have been looked at; undefined once all have. */
  #lookedUpTo: number | undefined = 0;

  constructor(db: Database, usage = new UsageCount(db), tallies = new Tallies(db)) {
    this.#db = db;
    this.#rows = new MessageRows(db, usage, tallies);
    this.#tallies = tallies;
  }

  /** Has entries of a feed, about as many as given, deleted later: all below its tail in the database. */
  add(feed: number, entries: number, now: number): void {
    this.#waiting += entries;
    this.#surplus.set(feed, { entries: entries + (this.#surplus.get(feed)?.entries ?? 0), now });
  }

  /** Whether a slice has something to do. */
  get hasWork(): boolean {
    return this.#surplus.size > 0 || this.#lookedUpTo !== undefined;
  }

  get figures(): TrimFigures {
    return { trimmed: this.#trimmed, waiting: this.#waiting, seconds: this.#seconds };
  }

  slice(budgetMs: number): boolean {
    if (!this.hasWork) return false;
    if (this.#surplus.size === 0) this.#look();
    else this.#delete(budgetMs);
    return this.hasWork;
  }

  /** Deletes for about `budgetMs`, in one transaction. What is deleted is forgotten only after its commit. */
  #delete(budgetMs: number): void {
    const start = performance.now();
    const deleted: Deleted[] = [];
    try {
      this.#db.transaction(() => {
        for (const [feed, { now }] of this.#surplus) {
          const progress: Deleted = { feed, count: 0, isDone: false };
          deleted.push(progress);
          while (!progress.isDone && performance.now() - start < budgetMs) {
            const count = this.#deleteFrom(feed, now);
            progress.count += count;
            progress.isDone = count < chunk;
          }
          if (!progress.isDone) break;
        }
      });
    } catch (error) {
      // A damaged page of this feed must not keep the others from being trimmed.
      this.#moveToEnd(deleted.at(-1)?.feed);
      throw error;
    } finally {
      this.#seconds += (performance.now() - start) / 1000;
    }
    for (const each of deleted) this.#subtract(each);
  }

  #moveToEnd(feed: number | undefined): void {
    const surplus = feed === undefined ? undefined : this.#surplus.get(feed);
    if (feed === undefined || !surplus) return;
    this.#surplus.delete(feed);
    this.#surplus.set(feed, surplus);
  }

  /** Deletes a chunk of the entries below a feed's tail, except the last one of the feed. Returns how many. */
  #deleteFrom(feed: number, now: number): number {
    const entries = this.#db
      .sql(
        `SELECT seq, message FROM entries WHERE feed = ? AND seq < (SELECT tail FROM feeds WHERE id = ?)
         AND seq < (SELECT max(seq) FROM entries WHERE feed = ?) ORDER BY seq LIMIT ?`,
      )
      .all(feed, feed, feed, chunk) as { seq: number; message: number }[];
    const last = entries.at(-1);
    if (!last) return 0;
    this.#db.sql("DELETE FROM entries WHERE feed = ? AND seq <= ?").run(feed, last.seq);
    this.#tallies.trimmed(feed, last.seq);
    // Message 0 is a tombstone.
    for (const { message } of entries) if (message !== 0) this.#rows.unlink(message, feed, now);
    return entries.length;
  }

  #subtract({ feed, count, isDone }: Deleted): void {
    const { entries = 0, now = 0 } = this.#surplus.get(feed) ?? {};
    const left = isDone ? 0 : Math.max(0, entries - count);
    this.#trimmed += count;
    this.#waiting -= entries - left;
    if (isDone) this.#surplus.delete(feed);
    else this.#surplus.set(feed, { entries: left, now });
  }

  /** Looks for entries below the tails of the next feeds. Their keys are kept: the time is not known. */
  #look(): void {
    const feeds = this.#db
      .sql(
        `SELECT f.id, f.tail, (SELECT seq FROM entries WHERE feed = f.id ORDER BY seq LIMIT 1) AS first,
           (SELECT max(seq) FROM entries WHERE feed = f.id) AS last
         FROM feeds f WHERE f.id > ? ORDER BY f.id LIMIT ?`,
      )
      .all(this.#lookedUpTo ?? 0, feedsAtOnce) as { id: number; tail: number; first: number | null; last: number }[];
    for (const { id, tail, first, last } of feeds) {
      const surplus = first === null ? 0 : Math.min(tail, last) - first;
      if (surplus > 0) this.add(id, surplus, 0);
    }
    this.#lookedUpTo = feeds.length < feedsAtOnce ? undefined : feeds.at(-1)?.id;
  }
}
