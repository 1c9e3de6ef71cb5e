import {
  type Append,
  type AppendResult,
  type Entry,
  type FeedBounds,
  type FeedKey,
  type FeedSlice,
  keyExpiry,
  type MessageLocation,
  type Recalled,
} from "../../ports/store.ts";
import { exactKey } from "../../util/keys.ts";
import { LruCache } from "../../util/lru.ts";
import type { CountTrimmer } from "./count-trimmer.ts";
import { type Database, fromTime, fromUuid, toTime, toUuid } from "./database.ts";
import { MessageRows } from "./message-rows.ts";
import { rowColumns, toEntry } from "./row.ts";
import { Tallies } from "./tallies.ts";
import { UsageCount } from "./usage-count.ts";

/**
 * The number of entries that retention by age deletes in one step, which other calls wait for; a message of many feeds
 * may exceed it. Retention by count raises the tail of a feed once it has as many entries too many.
 */
const trimStep = 256;
/** A slice ends once its bodies reach this size, in bytes, so that a lagging reader costs a bounded page. */
const sliceBytes = 64 * 1024;
/** Memory for the bounds of feeds, in bytes: some 200,000 feeds with usual names. Another one costs an index look-up. */
const maxCachedBytes = 32 * 1024 * 1024;
/** Memory of one feed besides its name, in bytes. */
const feedBytes = 128;

interface Feed {
  readonly id: number;
  seq: number;
  /** The tail in the database; retention by count may be up to a step ahead of it. */
  tail: number;
}

/** The feeds of the embedded store. It runs on the store's thread, inside its transactions. */
export class SqliteFeeds {
  readonly #db: Database;
  /** The number of messages kept per feed. */
  readonly #keep: number;
  readonly #rows: MessageRows;
  readonly #trimmer: CountTrimmer;
  readonly #usage: UsageCount;
  readonly #tallies: Tallies;
  readonly #cache = new LruCache<string, Feed>({
    cost: maxCachedBytes,
    costOf: (_feed, name) => feedBytes + name.length,
  });
  /** The last row of messages; undefined when it has to be read from the database. */
  #lastRow: number | undefined;

  /** Entries below the tail of a feed are left to `trimmer`. */
  constructor(
    db: Database,
    keep: number,
    trimmer: CountTrimmer,
    usage = new UsageCount(db),
    tallies = new Tallies(db),
  ) {
    this.#db = db;
    this.#keep = keep;
    this.#rows = new MessageRows(db, usage, tallies);
    this.#trimmer = trimmer;
    this.#usage = usage;
    this.#tallies = tallies;
  }

  /** Drops what is cached. To be called after a failed transaction: memory must not be ahead of the database. */
  forget(): void {
    this.#cache.clear();
    this.#lastRow = undefined;
    this.#usage.rollback();
  }

  append(messages: readonly Append[]): AppendResult[] {
    return messages.map((message) => this.#appendOne(message));
  }

  bounds(feeds: readonly FeedKey[]): FeedBounds[] {
    return feeds.map((key) => this.boundsOf(key));
  }

  boundsOf(key: FeedKey): FeedBounds {
    const feed = this.find(key);
    return { epoch: this.#db.epoch, seq: feed?.seq ?? 0, tail: feed ? this.#tail(feed) : 1 };
  }

  read(key: FeedKey, after: number, upTo: number, limit: number, now: number): FeedSlice {
    const bounds = this.boundsOf(key);
    const last = Math.min(upTo, bounds.seq);
    const rows = this.#db
      .sql(
        `SELECT ${rowColumns} FROM entries e JOIN messages m ON m.row = e.message
         WHERE e.feed = ? AND e.seq BETWEEN ? AND ? AND (e.expire_time IS NULL OR e.expire_time > ?) ORDER BY e.seq LIMIT ?`,
      )
      .iterate(this.find(key)?.id ?? 0, Math.max(after + 1, bounds.tail), last, now, limit);
    const entries: Entry[] = [];
    let bytes = 0;
    for (const row of rows) {
      const entry = toEntry(row, bounds.epoch);
      entries.push(entry);
      bytes += entry.body.length;
      if (bytes >= sliceBytes) break;
    }
    const full = entries.length === limit || bytes >= sliceBytes;
    return { bounds, entries, through: full ? (entries.at(-1)?.seq ?? after) : Math.max(last, after) };
  }

  recall(tenant: string, ids: readonly string[]): Recalled[] {
    const recalled: Recalled[] = [];
    for (const id of new Set(ids.map((each) => each.toLowerCase()))) {
      const bytes = fromUuid(id);
      const message =
        bytes &&
        (this.#db.sql("SELECT row FROM messages WHERE id = ? AND tenant = ?").get(bytes, tenant) as
          | { row: number }
          | undefined);
      if (!message) continue;
      for (const { feed, seq } of this.#rows.locations(message.row)) {
        const key = this.#keyOf(feed);
        const exists = this.#db
          .sql("SELECT 1 FROM entries WHERE feed = ? AND seq = ? AND message = ?")
          .get(feed, seq, message.row);
        if (seq >= this.boundsOf(key).tail) recalled.push({ id, feed: key, seq, again: !exists });
        if (exists) this.#rows.erase(feed, seq);
      }
      // The row stays, so that a late retry under its key does not bring the message back. Its locations stay, so that
      // a repeated recall returns them again.
      this.#usage.messageRemoved(message.row);
      this.#db.sql("UPDATE messages SET body = x'', batch_id = NULL WHERE row = ?").run(message.row);
    }
    return recalled;
  }

  trim(before: number, now: number): number {
    return this.#trimOld(before) + this.#trimExpired(now);
  }

  /** Returns a feed, or undefined when nothing was ever appended to it. */
  find(key: FeedKey): Feed | undefined {
    const name = nameOf(key);
    const cached = this.#cache.get(name);
    if (cached) return cached;
    const row = this.#db.sql("SELECT id, tail FROM feeds WHERE tenant = ? AND name = ?").get(key.tenant, key.name) as
      | { id: number; tail: number }
      | undefined;
    if (!row) return undefined;
    const last = this.#db.sql("SELECT max(seq) AS seq FROM entries WHERE feed = ?").get(row.id) as {
      seq: number | null;
    };
    return this.#addToCache(name, { id: row.id, seq: last.seq ?? 0, tail: row.tail });
  }

  /** Returns the entry at a location, unless retention has trimmed it. */
  entryAt(feed: number, seq: number): (Entry & { feed: FeedKey }) | undefined {
    const key = this.#keyOf(feed);
    if (seq < this.boundsOf(key).tail) return undefined;
    const row = this.#db
      .sql(`SELECT ${rowColumns} FROM entries e JOIN messages m ON m.row = e.message WHERE e.feed = ? AND e.seq = ?`)
      .get(feed, seq);
    return row && { ...toEntry(row, this.#db.epoch), feed: key };
  }

  #appendOne(message: Append): AppendResult {
    const replaced = message.replace ? this.#replace(message) : undefined;
    const earlier = message.key === "" ? undefined : this.#findByKey(message);
    if (earlier) return earlier;
    const row = (this.#lastRow ?? this.#readLastRow()) + 1;
    this.#lastRow = row;
    const expireTime = fromTime(message.expireTime);
    const locations = message.feeds.map((name) => {
      const feed = this.#findOrCreate({ tenant: message.tenant, name });
      feed.seq++;
      this.#db
        .sql("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .run(
          feed.id,
          feed.seq,
          row,
          message.kind,
          message.category,
          message.publishTime,
          expireTime,
          message.actorId || null,
          message.objectType || null,
          message.objectId || null,
          message.batchId || null,
        );
      this.#tallies.appended(feed.id, feed.seq);
      this.#raiseByCount(feed, message.keyTime ?? message.publishTime);
      return { feed: feed.id, seq: feed.seq };
    });
    this.#usage.messageAdded(message.tenant, row, message.body.length);
    const [only] = locations.length === 1 ? locations : [];
    this.#db
      .sql("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .run(
        row,
        fromUuid(message.id) ?? null,
        message.tenant,
        message.key || null,
        message.digest || null,
        message.publishTime,
        expireTime,
        only?.feed ?? null,
        only?.seq ?? null,
        message.body,
        message.batchId || null,
      );
    if (locations.length > 1) {
      for (const { feed, seq } of locations) this.#db.sql("INSERT INTO places VALUES (?, ?, ?)").run(row, feed, seq);
    }
    const { id, publishTime } = message;
    const stored = { outcome: "stored" as const, id, publishTime, epoch: this.#db.epoch };
    return { ...stored, seqs: locations.map(({ seq }) => seq), ...(replaced ? { replaced } : {}) };
  }

  /** Deletes the message that holds a key, if any, so that another one can take it. Returns where readers saw it. */
  #replace({ tenant, key }: Append): MessageLocation[] | undefined {
    const found = this.#db.sql("SELECT row FROM messages WHERE tenant = ? AND key = ?").get(tenant, key) as
      | { row: number }
      | undefined;
    if (!found) return undefined;
    const locations = this.#withdraw(found.row);
    this.#usage.messageRemoved(found.row);
    this.#db.sql("DELETE FROM messages WHERE row = ?").run(found.row);
    return locations;
  }

  /** Removes a message from its feeds. Returns where readers saw it. */
  #withdraw(row: number): MessageLocation[] {
    const locations: MessageLocation[] = [];
    for (const { feed, seq } of this.#rows.locations(row)) {
      const entry = this.entryAt(feed, seq);
      if (entry)
        locations.push({
          id: entry.id,
          feed: entry.feed,
          seq,
          kind: entry.kind,
          category: entry.category,
          expireTime: entry.expireTime,
        });
      this.#rows.erase(feed, seq);
    }
    this.#db.sql("DELETE FROM places WHERE message = ?").run(row);
    return locations;
  }

  #findByKey({ tenant, key, digest, publishTime, keyTime = publishTime }: Append): AppendResult | undefined {
    const row = this.#db
      .sql("SELECT row, id, digest, publish_time, expire_time FROM messages WHERE tenant = ? AND key = ?")
      .get(tenant, key) as
      | { row: number; id: Uint8Array; digest: string; publish_time: number; expire_time: number | null }
      | undefined;
    if (!row) return undefined;
    if (keyExpiry({ publishTime: row.publish_time, expireTime: toTime(row.expire_time) }) <= keyTime) {
      this.#db.sql("UPDATE messages SET key = NULL WHERE row = ?").run(row.row);
      return undefined;
    }
    if (row.digest !== digest) return { outcome: "conflict" };
    return { outcome: "duplicate", id: toUuid(row.id), publishTime: row.publish_time, epoch: this.#db.epoch, seqs: [] };
  }

  #findOrCreate(key: FeedKey): Feed {
    const found = this.find(key);
    if (found) return found;
    const { lastInsertRowid } = this.#db
      .sql("INSERT INTO feeds (tenant, name, tail) VALUES (?, ?, 1)")
      .run(key.tenant, key.name);
    this.#usage.feedAdded(key.tenant, Number(lastInsertRowid));
    return this.#addToCache(nameOf(key), { id: Number(lastInsertRowid), seq: 0, tail: 1 });
  }

  #addToCache(name: string, feed: Feed): Feed {
    this.#cache.set(name, feed);
    return feed;
  }

  #tail(feed: Feed): number {
    return Math.max(feed.tail, feed.seq - this.#keep + 1);
  }

  /** Raises the tail of a feed that has grown by a step, which hides the entries below it at once and for good. */
  #raiseByCount(feed: Feed, now: number): void {
    const tail = this.#tail(feed);
    if (tail - feed.tail < trimStep) return;
    this.#trimmer.add(feed.id, tail - feed.tail, now);
    this.#raiseTail(feed, tail);
  }

  /**
   * Drops messages older than `before`, in the order of arrival. One that a slow clock stamped too early waits for
   * those before it.
   */
  #trimOld(before: number): number {
    const oldest = this.#db.sql("SELECT row, publish_time FROM messages ORDER BY row LIMIT ?").all(trimStep) as {
      row: number;
      publish_time: number;
    }[];
    const young = oldest.findIndex((message) => message.publish_time >= before);
    return this.#drop(young === -1 ? oldest : oldest.slice(0, young));
  }

  #trimExpired(now: number): number {
    const expired = this.#db.sql("SELECT row FROM messages WHERE expire_time <= ? LIMIT ?").all(now, trimStep);
    return this.#drop(expired as { row: number }[], now);
  }

  /**
   * Removes messages from their feeds, in order, until the step is full. Returns how many it removed. With `now`, these
   * are messages that have expired, whose keys stay; without, they are too old, and the tails of their feeds rise above
   * them.
   */
  #drop(messages: readonly { row: number }[], now?: number): number {
    let dropped = 0;
    for (let deleted = 0; dropped < messages.length && deleted < trimStep; dropped++) {
      const { row } = messages[dropped] as { row: number };
      for (const { feed: id, seq } of this.#rows.locations(row)) {
        deleted++;
        this.#rows.erase(id, seq);
        const feed = now === undefined ? this.find(this.#keyOf(id)) : undefined;
        if (feed && seq >= feed.tail) this.#raiseTail(feed, seq + 1);
      }
      this.#db.sql("DELETE FROM places WHERE message = ?").run(row);
      this.#rows.drop(row, now);
    }
    return dropped;
  }

  #raiseTail(feed: Feed, tail: number): void {
    feed.tail = tail;
    this.#db.sql("UPDATE feeds SET tail = ? WHERE id = ?").run(tail, feed.id);
  }

  #keyOf(feed: number): FeedKey {
    return this.#db.sql("SELECT tenant, name FROM feeds WHERE id = ?").get(feed) as unknown as FeedKey;
  }

  #readLastRow(): number {
    return (this.#db.sql("SELECT coalesce(max(row), 0) AS row FROM messages").get() as { row: number }).row;
  }
}

/** Returns the key of a feed in the cache. */
function nameOf({ tenant, name }: FeedKey): string {
  return exactKey(tenant, name);
}
