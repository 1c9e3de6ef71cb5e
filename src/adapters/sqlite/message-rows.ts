import { keyLifetimeMs } from "../../ports/store.ts";
import type { Database } from "./database.ts";
import { Tallies } from "./tallies.ts";
import { UsageCount } from "./usage-count.ts";

/** The rows of single messages and of their entries in feeds. */
export class MessageRows {
  readonly #db: Database;
  readonly #usage: UsageCount;
  readonly #tallies: Tallies;

  constructor(db: Database, usage = new UsageCount(db), tallies = new Tallies(db)) {
    this.#db = db;
    this.#usage = usage;
    this.#tallies = tallies;
  }

  /** Returns the locations of a message in feeds with an id above `after`, in the order of their ids. */
  locations(row: number, after = 0, limit = -1): { feed: number; seq: number }[] {
    return this.#db
      .sql(
        `SELECT feed, seq FROM messages WHERE row = ? AND feed > ?
         UNION ALL SELECT feed, seq FROM places WHERE message = ? AND feed > ?
         ORDER BY feed LIMIT ?`,
      )
      .all(row, after, row, after, limit) as { feed: number; seq: number }[];
  }

  /** Deletes an entry, or makes it a tombstone when it has the last seq of its feed. */
  erase(feed: number, seq: number): void {
    this.#tallies.erased(feed, seq);
    const next = this.#db.sql("SELECT 1 FROM entries WHERE feed = ? AND seq > ? LIMIT 1").get(feed, seq);
    if (next) this.#db.sql("DELETE FROM entries WHERE feed = ? AND seq = ?").run(feed, seq);
    else {
      this.#db
        .sql(
          "UPDATE entries SET message = 0, kind = 0, actor_id = NULL, object_type = NULL, object_id = NULL WHERE feed = ? AND seq = ?",
        )
        .run(feed, seq);
    }
  }

  /** Removes a message from a feed that has no entry of it any more, and its row when that was its last feed. */
  unlink(message: number, feed: number, now: number): void {
    const { changes } = this.#db.sql("DELETE FROM places WHERE message = ? AND feed = ?").run(message, feed);
    // A message that was only ever in one feed has no places.
    if (changes !== 0 && this.#db.sql("SELECT 1 FROM places WHERE message = ? LIMIT 1").get(message)) return;
    this.drop(message, now);
  }

  /** Deletes the row of a message that is in no feed any more, or keeps it for its key as long as that holds. */
  drop(row: number, now = Number.MAX_SAFE_INTEGER): void {
    this.#usage.messageRemoved(row);
    const { changes } = this.#db
      .sql(
        `UPDATE messages SET body = x'', feed = NULL, seq = NULL, batch_id = NULL, expire_time = publish_time + ?
         WHERE row = ? AND key IS NOT NULL AND publish_time + ? > ?`,
      )
      .run(keyLifetimeMs, row, keyLifetimeMs, now);
    if (changes === 0) this.#db.sql("DELETE FROM messages WHERE row = ?").run(row);
  }
}
