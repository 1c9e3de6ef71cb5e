import { rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { CountTrimmer } from "../../../src/adapters/sqlite/count-trimmer.ts";
import { Database } from "../../../src/adapters/sqlite/database.ts";
import { SqliteFeeds } from "../../../src/adapters/sqlite/feeds.ts";
import { SqliteInbox } from "../../../src/adapters/sqlite/inbox.ts";
import { Tallies } from "../../../src/adapters/sqlite/tallies.ts";
import type { FeedKey, SeqRanges } from "../../../src/ports/store.ts";
import { endless, message, messages, never, start, userFeed } from "../../support/store-messages.ts";
import { makeFolder, openSqlite } from "../../support/store-sqlite.ts";

const feed = userFeed("t");
const all: SeqRanges = [[1, endless]];

/** The parts of an embedded store, without its thread. */
function openParts({ keep = 1_000_000, blockSize = 512 } = {}) {
  const database = new Database(":memory:");
  const tallies = new Tallies(database, blockSize);
  const trimmer = new CountTrimmer(database, undefined, tallies);
  const feeds = new SqliteFeeds(database, keep, trimmer, undefined, tallies);
  return { database, tallies, trimmer, feeds, inbox: new SqliteInbox(database, feeds, tallies) };
}
type Parts = ReturnType<typeof openParts>;

describe("The tallies of a feed", () => {
  const numbers = fc.array(fc.nat(), { minLength: 1, maxLength: 6 });
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("append" as const),
        count: fc.integer({ min: 1, max: 30 }),
        categories: fc.constantFrom(1, 2, 100),
        kind: fc.constantFrom(1, 1, 1, 3),
        lives: fc.constantFrom(never, never, 3, 30),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("undo" as const), count: fc.integer({ min: 1, max: 30 }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("recall" as const), picks: numbers }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("trim" as const), age: fc.constantFrom(0, 5, 1000) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("deleteHidden" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("forgetTallies" as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("writeTallies" as const) }) },
  );

  test("equal their blocks, and counts by them equal counts by slot, after every step of a random script", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(step, numbers), { minLength: 3, maxLength: 40 }), (script) => {
        const parts = openParts({ keep: 60, blockSize: 16 });
        const { database, tallies, trimmer, feeds } = parts;
        const ids: string[] = [];
        let now = start;
        for (const [next, picks] of script) {
          now++;
          const append = (count: number, categories = 1, kind = 1, lives = never) =>
            feeds.append(
              messages("t", count, (index) => {
                const made = message("t", {
                  kind,
                  category: `c${index % categories}`,
                  publishTime: now,
                  expireTime: now + lives,
                });
                ids.push(made.id);
                return made;
              }),
            );
          switch (next.do) {
            case "append":
              database.transaction(() => append(next.count, next.categories, next.kind, next.lives));
              break;
            case "undo":
              expect(() =>
                database.transaction(() => {
                  append(next.count);
                  // Finds blocks that will not be there any more.
                  compare(parts, picks, now);
                  throw new Error("the disk is full");
                }),
              ).toThrow("the disk is full");
              feeds.forget();
              break;
            case "recall":
              database.transaction(() =>
                feeds.recall(
                  "t",
                  next.picks.map((pick) => ids[pick % Math.max(1, ids.length)] ?? ""),
                ),
              );
              break;
            case "trim":
              while (database.transaction(() => feeds.trim(now - next.age, now)) > 0);
              break;
            case "deleteHidden":
              while (trimmer.slice(10));
              break;
            case "forgetTallies":
              database.sql("DELETE FROM tallies").run();
              break;
            case "writeTallies":
              while (tallies.hasWork) tallies.slice(10);
          }
          checkTallies(parts, 16);
          compare(parts, picks, now);
        }
        database.close();
      }),
      { numRuns: 100 },
    );
  });

  test("are not used for a block whose beginning retention has deleted", () => {
    const { feeds, trimmer, inbox, database } = openParts({ keep: 500, blockSize: 512 });
    feeds.append(messages("t", 1024));
    database.transaction(() => feeds.append(messages("t", 24)));
    while (trimmer.slice(10));
    const counted = inbox.countNotifications([{ feed, ranges: all }], start);
    expect([...counted.byCategory]).toEqual([["", 500]]);
    expect(counted.oldest).toEqual([549]);
  });
});

/** Checks that every tally of a block above the tail says what is in the block. */
function checkTallies({ database, feeds }: Parts, size: number): void {
  const { tail } = feeds.boundsOf(feed);
  const rows = database.sql("SELECT block, json FROM tallies ORDER BY block").all() as {
    block: number;
    json: string;
  }[];
  for (const { block, json } of rows) {
    if (block * size + 1 < tail) continue;
    const found = database
      .sql("SELECT category, seq, expire_time FROM entries WHERE seq BETWEEN ? AND ? AND kind = 1 ORDER BY seq")
      .all(block * size + 1, (block + 1) * size) as { category: string; seq: number; expire_time: number | null }[];
    const counts = new Map<string, number>();
    for (const { category } of found) counts.set(category, (counts.get(category) ?? 0) + 1);
    const expiry = Math.min(...found.map(({ expire_time }) => expire_time ?? Number.POSITIVE_INFINITY));
    const expected = [block, found[0]?.seq ?? null, Number.isFinite(expiry) ? expiry : null, ...[...counts].flat()];
    expect(JSON.parse(json)).toEqual(expected);
  }
}

/** Compares counts of some ranges with counts of the rows. */
function compare({ database, feeds, inbox }: Parts, picks: readonly number[], now: number): void {
  const { tail, seq: end } = feeds.boundsOf(feed);
  const seqs = [...new Set(picks.map((pick) => 1 + (pick % Math.max(1, end))))].sort((a, b) => a - b);
  const gaps = seqs.map((seq, index) => [(seqs[index - 1] ?? 0) + 1, seq - 1] as const);
  const butSome: SeqRanges = [...gaps.filter(([from, to]) => from <= to), [(seqs.at(-1) ?? 0) + 1, endless]];
  for (const ranges of [all, seqs.map((seq) => [seq, seq] as const), butSome]) {
    const { byCategory, nextExpiry, oldest } = inbox.countNotifications([{ feed, ranges }], now);
    const rows = database
      .sql("SELECT seq, category, expire_time FROM entries WHERE seq >= ? AND kind = 1 ORDER BY seq")
      .all(tail) as { seq: number; category: string; expire_time: number | null }[];
    const live = rows.filter(
      ({ seq, expire_time }) => (expire_time ?? endless) > now && ranges.some(([from, to]) => from <= seq && seq <= to),
    );
    const counts: Record<string, number> = {};
    for (const { category } of live) counts[category] = (counts[category] ?? 0) + 1;
    expect(Object.fromEntries(byCategory)).toEqual(counts);
    expect(nextExpiry).toBe(Math.min(never, ...live.map(({ expire_time }) => expire_time ?? never)));
    expect(oldest).toEqual([live[0]?.seq ?? never]);
  }
}

/** Returns how many rows of entries and tallies some work reads, besides how many it returns. */
function rowsRead({ database }: Parts, work: () => void): number {
  let rows = 0;
  const { sql } = database;
  const spy = vi.spyOn(database, "sql").mockImplementation((text) => {
    const statement = sql.call(database, text);
    if (!/json_each\(\?\) r CROSS JOIN (entries e|tallies t)/.test(text)) return statement;
    return new Proxy(statement, {
      get:
        () =>
        (json: string, ...rest: number[]) => {
          for (const [from = 0, to = 0] of JSON.parse(json) as number[][]) rows += to - from + 1;
          return statement.get(json, ...rest);
        },
    });
  });
  work();
  spy.mockRestore();
  return rows;
}

describe("The number of rows that a count reads", () => {
  const parts = openParts();
  let feedsMade = 0;
  /** Makes a feed with notifications of five categories, or as the SQL expressions say, in which `n` is the seq. */
  const fill = (count: number, { kind = "1", category = "'c' || (n % 5)", expiry = "NULL" } = {}): FeedKey => {
    const key = { tenant: "t", name: `room/${++feedsMade}` };
    const { database, feeds, tallies } = parts;
    feeds.append([message("t", { feeds: [key.name] })]);
    database
      .sql(
        `WITH RECURSIVE seqs (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM seqs WHERE n < ?)
         INSERT INTO entries (feed, seq, message, kind, category, publish_time, expire_time)
         SELECT ?, n, n, ${kind}, ${category}, 0, ${expiry} FROM seqs`,
      )
      .run(count, feedsMade);
    feeds.forget();
    reads(key, all);
    while (tallies.hasWork) tallies.slice(1000);
    return key;
  };
  /** Counts some ranges, in as many calls as it takes. */
  const reads = (key: FeedKey, ranges: SeqRanges, now = start) => {
    let calls = 0;
    let counted = 0;
    const rows = rowsRead(parts, () => {
      for (let rest = ranges; rest.length > 0 && calls < 100; calls++) {
        const part = parts.inbox.countNotifications([{ feed: key, ranges: rest }], now);
        for (const count of part.byCategory.values()) counted += count;
        rest = part.rest?.[0] ?? [];
      }
    });
    return { rows, calls, counted };
  };

  test.each([
    { unread: 1000, most: 1000 },
    { unread: 10_000, most: 1050 },
    { unread: 100_000, most: 1250 },
    { unread: 1_000_000, most: 3000 },
  ])(
    "is at most $most for $unread unread",
    ({ unread, most }) => {
      const { rows, ...counted } = reads(fill(unread + 100), [[101, endless]]);
      expect(counted).toEqual({ calls: 1, counted: unread });
      expect(rows).toBeLessThanOrEqual(most);
    },
    60_000,
  );

  test("is about the number of messages that were read, where a user has read here and there", () => {
    const ranges = Array.from({ length: 1001 }, (_, index) => [100 * index - 49, 100 * index + 49] as const);
    const { rows, ...counted } = reads(fill(100_000), [[1, 49], ...ranges.slice(1)]);
    expect(counted).toEqual({ calls: 1, counted: 99_000 });
    expect(rows).toBeLessThanOrEqual(1700);
  });

  test("is the number of unread messages, where a user has left few", () => {
    const key = fill(100_000);
    const ranges = Array.from({ length: 1000 }, (_, index) => [100 * index + 1, 100 * index + 1] as const);
    expect(reads(key, ranges)).toEqual({ rows: 1000, calls: 1, counted: 1000 });
    expect(reads(key, [[50_000, 50_000]])).toEqual({ rows: 1, calls: 1, counted: 1 });
  });

  test("is small in a room with 100,000 events and one notification", () => {
    const { rows, ...counted } = reads(fill(100_000, { kind: "3" }), all);
    expect(counted).toEqual({ calls: 1, counted: 1 });
    expect(rows).toBeLessThanOrEqual(700);
  });

  test("is small while messages wait to expire, and grows by one block for one that has expired", () => {
    const key = fill(100_000, { expiry: `${start} + iif(n = 50000, 1000, 9000)` });
    expect(reads(key, all).rows).toBeLessThanOrEqual(700);
    const { rows, ...counted } = reads(key, all, start + 1000);
    expect(counted).toEqual({ calls: 1, counted: 99_999 });
    expect(rows).toBeLessThanOrEqual(1250);
  });

  test("is bounded in each call, even where every message has a category of its own", () => {
    const { rows, calls, counted } = reads(fill(100_000, { category: "'name ' || n" }), all);
    expect(counted).toBe(100_000);
    expect(calls).toBeGreaterThanOrEqual(5);
    expect(rows / calls).toBeLessThanOrEqual(20_000);
  });
});

describe("A file without tallies", () => {
  test("is counted slot by slot, and gets its tallies between calls", async () => {
    const folder = makeFolder();
    const first = await openSqlite(10_000, folder);
    await first.store.append(messages("t", 3000));
    await first.store.close();
    const withFile = <T>(work: (database: DatabaseSync) => T): T => {
      const database = new DatabaseSync(join(folder, "tidings.db"));
      const result = work(database);
      database.close();
      return result;
    };
    const tallies = () => withFile((database) => database.prepare("SELECT block, json FROM tallies").all());
    const written = tallies();
    expect(written).toHaveLength(5);
    withFile((database) => database.exec("DELETE FROM tallies"));
    const count = async (opened: Awaited<ReturnType<typeof openSqlite>>) => {
      const { byCategory } = await opened.store.countNotifications([{ feed, ranges: all }], start);
      expect([...byCategory]).toEqual([["", 3000]]);
    };
    const second = await openSqlite(10_000, folder);
    const { walBytes = 0 } = second.store.figures?.() ?? {};
    await count(second);
    // The thread writes them a moment after the count, and to the log first.
    await vi.waitFor(() => expect(second.store.figures?.().walBytes).toBeGreaterThan(walBytes), 10_000);
    await second.store.close();
    expect(tallies()).toEqual(written);
    rmSync(folder, { recursive: true, force: true });
  });

  test("gets them after a slice that failed, when it is counted again", () => {
    const parts = openParts({ blockSize: 16 });
    const { database, tallies, feeds, inbox } = parts;
    feeds.append(messages("t", 100));
    database.sql("DELETE FROM tallies").run();
    const count = () => inbox.countNotifications([{ feed, ranges: all }], start);
    count();
    const full = vi.spyOn(database, "transaction").mockImplementation(() => {
      throw new Error("the disk is full");
    });
    expect(() => tallies.slice(10)).toThrow("the disk is full");
    full.mockRestore();
    expect(tallies.hasWork).toBe(false);
    count();
    expect(tallies.slice(10)).toBe(false);
    expect(database.sql("SELECT count(*) AS count FROM tallies").get()).toEqual({ count: 6 });
    checkTallies(parts, 16);
  });
});
