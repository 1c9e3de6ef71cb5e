import {
  type BatchPage,
  type Entry,
  type FeedBounds,
  type FeedKey,
  type MessageLocation,
  type NotificationCount,
  type Selection,
  type SeqRanges,
  type StoredReadState,
  unbounded,
} from "../../ports/store.ts";
import { clip } from "../../util/seq-ranges.ts";
import { type Database, fromUuid, toTime } from "./database.ts";
import { FeedCount, FeedCounter } from "./feed-counter.ts";
import type { SqliteFeeds } from "./feeds.ts";
import { MessageRows } from "./message-rows.ts";
import { rowColumns, toEntry } from "./row.ts";
import { defaultBlockSize, Tallies } from "./tallies.ts";

/** The most slots of feeds that one call reads in order to count: some milliseconds, for which other calls wait. */
const maxSlotsPerCount = 20_000;

/** The inbox queries of the embedded store. It runs on the store's thread. */
export class SqliteInbox {
  readonly #db: Database;
  readonly #feeds: SqliteFeeds;
  readonly #rows: MessageRows;
  readonly #counter: FeedCounter;

  constructor(db: Database, feeds: SqliteFeeds, tallies = new Tallies(db)) {
    this.#db = db;
    this.#rows = new MessageRows(db);
    this.#feeds = feeds;
    this.#counter = new FeedCounter(db, tallies);
  }

  select(selection: Selection): Entry[] {
    const feed = this.#feeds.find(selection.feed);
    if (!feed) return [];
    const { tail } = this.#feeds.boundsOf(selection.feed);
    const { text, values } = conditions(selection);
    const newest = selection.order === "newest";
    const statement = this.#db.sql(
      `SELECT ${selection.bodies ? rowColumns : rowColumns.replace("m.body", "x'' AS body")} FROM entries e ${indexFor(selection)}
       JOIN messages m ON m.row = e.message
       WHERE e.feed = ? AND e.seq BETWEEN ? AND ? ${text} ORDER BY e.seq ${newest ? "DESC" : "ASC"} LIMIT ?`,
    );
    const entries: Entry[] = [];
    for (const [from, to] of newest ? selection.ranges.toReversed() : selection.ranges) {
      if (entries.length >= selection.limit) break;
      if (to < tail) continue;
      const rows = statement.all(feed.id, Math.max(from, tail), to, ...values, selection.limit - entries.length);
      for (const row of rows) entries.push(toEntry(row, this.#db.epoch));
    }
    return entries;
  }

  countNotifications(
    feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[],
    now: number,
  ): NotificationCount {
    const byCategory = new Map<string, number>();
    let nextExpiry = Number.POSITIVE_INFINITY;
    const oldest = feeds.map(() => Number.POSITIVE_INFINITY);
    const bounds = this.#feeds.bounds(feeds.map(({ feed }) => feed));
    const rest: SeqRanges[] = [];
    let budget = maxSlotsPerCount;
    feeds.forEach(({ feed, ranges }, index) => {
      const id = this.#feeds.find(feed)?.id;
      const bound = bounds[index] as FeedBounds;
      const count = new FeedCount();
      let left = ranges;
      do {
        const { newest, older } = takeNewest(left, bound, budget);
        left = older;
        if (id !== undefined && newest.length > 0) budget -= this.#counter.count(id, newest, bound, now, count);
      } while (left.length > 0 && budget >= defaultBlockSize);
      rest.push(left);
      for (const [category, counted] of count.byCategory) {
        if (counted > 0) byCategory.set(category, (byCategory.get(category) ?? 0) + counted);
      }
      nextExpiry = Math.min(nextExpiry, count.nextExpiry);
      oldest[index] = count.oldest;
    });
    const isWhole = rest.every((ranges) => ranges.length === 0);
    return { byCategory, nextExpiry, oldest, bounds, ...(isWhole ? {} : { rest }) };
  }

  find(feeds: readonly FeedKey[], ids: readonly string[]): MessageLocation[] {
    const locations: MessageLocation[] = [];
    /** The feeds to look in, by id. Their number times that of the ids may be large: do not look for each id in each. */
    const wanted = new Map<number, { key: FeedKey; tail: number }>();
    for (const key of feeds) {
      const feed = this.#feeds.find(key);
      if (feed) wanted.set(feed.id, { key, tail: this.#feeds.boundsOf(key).tail });
    }
    const wantedIds = JSON.stringify([...wanted.keys()]);
    for (const id of new Set(ids.map((each) => each.toLowerCase()))) {
      for (const { message, feed, seq } of this.#placesOf(id, wantedIds)) {
        const { key, tail } = wanted.get(feed) ?? { key: undefined, tail: 0 };
        if (!key || seq < tail) continue;
        // A recalled message has no entry any more.
        const entry = this.#db
          .sql("SELECT kind, category, expire_time FROM entries WHERE feed = ? AND seq = ? AND message = ?")
          .get(feed, seq, message) as { kind: number; category: string; expire_time: number | null } | undefined;
        if (!entry) continue;
        const { kind, category, expire_time } = entry;
        locations.push({ id, feed: key, seq, kind, category, expireTime: toTime(expire_time) });
      }
    }
    return locations;
  }

  /** Returns where a message lies; of a message in several feeds, only the places in feeds of a JSON array of their ids. */
  #placesOf(id: string, feeds: string): { message: number; feed: number; seq: number }[] {
    const bytes = fromUuid(id);
    const found =
      bytes &&
      (this.#db.sql("SELECT row AS message, feed, seq FROM messages WHERE id = ?").get(bytes) as
        | { message: number; feed: number | null; seq: number }
        | undefined);
    if (!found) return [];
    const { message, feed, seq } = found;
    if (feed !== null) return [{ message, feed, seq }];
    return this.#db
      .sql(
        `SELECT message, feed, seq FROM places
         WHERE message = ? AND feed IN (SELECT value FROM json_each(?))`,
      )
      .all(message, feeds) as { message: number; feed: number; seq: number }[];
  }

  batch(tenant: string, batchId: string, after: string, limit: number, now: number): BatchPage {
    // The cursor is the row of a message and the id of the last of its feeds on the page before.
    const [row = unbounded, feed = 0] = after === "" ? [] : after.split("/").map(Number);
    const messages = this.#db
      .sql(
        `SELECT row FROM messages WHERE tenant = ? AND batch_id = ? AND row <= ?
         AND (expire_time IS NULL OR expire_time > ?) ORDER BY row DESC LIMIT ?`,
      )
      .all(tenant, batchId, row, now, limit + 1) as { row: number }[];
    const entries: BatchPage["entries"][number][] = [];
    let last = after;
    for (const message of messages) {
      for (const location of this.#locationsAfter(message.row, message.row === row ? feed : 0, limit + 1)) {
        if (entries.length === limit) return { entries, next: last };
        last = `${message.row}/${location.feed}`;
        const entry = this.#feeds.entryAt(location.feed, location.seq);
        if (entry) entries.push(entry);
      }
    }
    return { entries, next: messages.length > limit ? `${messages[limit]?.row}/${unbounded}` : "" };
  }

  /** Yields the locations of a message in feeds after `after`, read `step` at a time: there may be 10,000. */
  *#locationsAfter(row: number, after: number, step: number): Generator<{ feed: number; seq: number }> {
    for (let last = after; ; ) {
      const locations = this.#rows.locations(row, last, step);
      yield* locations;
      if (locations.length < step) return;
      last = locations.at(-1)?.feed ?? last;
    }
  }

  readState(tenant: string, user: string): StoredReadState {
    const row = this.#db.sql("SELECT version, json FROM read_states WHERE tenant = ? AND user = ?").get(tenant, user);
    return (row as StoredReadState | undefined) ?? { version: 0, json: "" };
  }

  saveReadState(tenant: string, user: string, { version, json }: StoredReadState): boolean {
    const { changes } =
      version === 1
        ? this.#db.sql("INSERT OR IGNORE INTO read_states VALUES (?, ?, 1, ?)").run(tenant, user, json)
        : this.#db
            .sql("UPDATE read_states SET version = ?, json = ? WHERE tenant = ? AND user = ? AND version = ? - 1")
            .run(version, json, tenant, user, version);
    return Number(changes) === 1;
  }
}

/** Returns the index to use. Without statistics, the planner would rather scan the whole feed. */
function indexFor({ feed, objectType, objectId, actorId }: Selection): string {
  if (objectType && objectId) return "INDEXED BY entries_object";
  return actorId && feed.name === "activity" ? "INDEXED BY entries_actor" : "";
}

/** Returns the conditions of a selection's filters. There are few different texts, and each is prepared once. */
function conditions(selection: Selection): { text: string; values: (string | number)[] } {
  const parts: [text: string, value: string | number][] = [];
  const { kinds, categories, objectType, objectId, actorId, batchId, startTime, endTime } = selection;
  if (kinds.length > 0) parts.push(["e.kind IN (SELECT value FROM json_each(?))", JSON.stringify(kinds)]);
  if (categories.length > 0) parts.push(["e.category IN (SELECT value FROM json_each(?))", JSON.stringify(categories)]);
  if (objectType) parts.push(["e.object_type = ?", objectType]);
  if (objectId) parts.push(["e.object_id = ?", objectId]);
  if (actorId) parts.push(["e.actor_id = ?", actorId]);
  // The feed implies it; stating it lets SQLite use the partial index entries_actor.
  if (actorId && selection.feed.name === "activity") parts.push(["e.kind = 2 AND ?", 1]);
  if (batchId) parts.push(["e.batch_id = ?", batchId]);
  if (startTime > Number.NEGATIVE_INFINITY) parts.push(["e.publish_time >= ?", startTime]);
  if (endTime < Number.POSITIVE_INFINITY) parts.push(["e.publish_time < ?", endTime]);
  parts.push([
    selection.expired ? "e.expire_time <= ?" : "(e.expire_time IS NULL OR e.expire_time > ?)",
    selection.now,
  ]);
  return { text: parts.map(([text]) => `AND ${text}`).join(" "), values: parts.map(([, value]) => value) };
}

/**
 * Splits off the newest slots of ranges that lie between the bounds of the feed: at most `limit`, and whole blocks, so that
 * their tallies can be used. Both parts ascend.
 */
function takeNewest(ranges: SeqRanges, { tail, seq }: FeedBounds, limit: number) {
  let left = limit;
  for (let index = ranges.length - 1; index >= 0; index--) {
    const [from, to] = ranges[index] as readonly [number, number];
    const [low, high] = [Math.max(from, tail), Math.min(to, seq)];
    if (high < low) continue;
    if (high - low < left) {
      left -= high - low + 1;
      continue;
    }
    // The ranges are kept beyond the end of the feed: later messages may be in them by the next call.
    if (limit < defaultBlockSize) return { newest: [], older: ranges };
    const cut = Math.ceil((high - left) / defaultBlockSize) * defaultBlockSize;
    return { newest: clip(ranges, Math.max(tail, cut + 1), seq), older: clip(ranges, 1, cut) };
  }
  return { newest: clip(ranges, tail, seq), older: [] };
}
