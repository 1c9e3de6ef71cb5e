import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { CountTrimmer } from "../../../src/adapters/sqlite/count-trimmer.ts";
import { Database } from "../../../src/adapters/sqlite/database.ts";
import { SqliteFeeds } from "../../../src/adapters/sqlite/feeds.ts";
import { FileCheck } from "../../../src/adapters/sqlite/file-check.ts";
import { SqliteInbox } from "../../../src/adapters/sqlite/inbox.ts";
import { rowColumns } from "../../../src/adapters/sqlite/row.ts";
import { Tallies } from "../../../src/adapters/sqlite/tallies.ts";
import { keyLifetimeMs, type Selection, unbounded } from "../../../src/ports/store.ts";
import { message, messages, selection, start, userFeed } from "../../support/store-messages.ts";
import { makeFolder, openSqlite } from "../../support/store-sqlite.ts";

const sources = join(import.meta.dirname, "../../../src/adapters/sqlite");

describe("Every SQL statement", () => {
  const folder = makeFolder();
  let database: Database;
  /** The texts of all statements that were prepared. */
  const used = new Set<string>();

  beforeAll(() => {
    database = new Database(folder);
    const sql = vi.spyOn(database, "sql");
    prepareAll(database);
    for (const [text] of sql.mock.calls) used.add(text);
    sql.mockRestore();
  });
  afterAll(() => {
    database.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("of the sources is prepared by this test", () => {
    const texts = ["feeds", "inbox", "feed-counter", "tallies", "message-rows", "count-trimmer", "file-check"]
      .flatMap((name) => [
        ...readFileSync(join(sources, `${name}.ts`), "utf8").matchAll(/\.sql\(\s*(?:"([^"]+)"|`([^`]+)`)/g),
      ])
      .map(([, plain, template]) => (plain ?? template ?? "").replace(/\$\{rowColumns\}/, rowColumns))
      .filter((text) => !/\$\{/.test(text));
    expect(texts.length).toBeGreaterThan(20);
    expect(texts.filter((text) => !used.has(text))).toEqual([]);
  });

  test("finds its rows by an index, or takes no more than it asked for", () => {
    const scans = [...used].flatMap((text) => {
      const plan = database
        .sql(`EXPLAIN QUERY PLAN ${text}`)
        .all()
        .map(({ detail }) => String(detail));
      // A scan of a list that is a parameter is none, nor is one that the LIMIT ends, here or in a subquery.
      const bounded = !/\bWHERE\b/.test(text) && /\bLIMIT \?$/.test(text);
      const bad = plan.filter(
        (detail) => /^SCAN /.test(detail) && !/VIRTUAL TABLE|CONSTANT ROW|\(subquery/.test(detail),
      );
      return bad.length > 0 && !bounded ? [{ text, bad }] : [];
    });
    expect(scans).toEqual([]);
  });

  test("that reads a feed uses its primary key or a more selective index", () => {
    const plans = [...used]
      .filter((text) => /FROM entries e|CROSS JOIN entries e/.test(text))
      .map((text) =>
        database
          .sql(`EXPLAIN QUERY PLAN ${text}`)
          .all()
          .map(({ detail }) => String(detail))
          .join("; "),
      );
    expect(plans.length).toBeGreaterThan(50);
    for (const plan of plans) expect(plan).toMatch(/SEARCH e USING (PRIMARY KEY|INDEX entries_\w+) \(feed=\? AND /);
    for (const plan of plans) expect(plan).not.toContain("TEMP B-TREE FOR ORDER BY");
    const range = "AND seq>? AND seq<?)";
    expect(plans.some((plan) => plan.includes(`entries_actor (feed=? AND actor_id=? ${range}`))).toBe(true);
    expect(
      plans.some((plan) => plan.includes(`entries_object (feed=? AND object_type=? AND object_id=? ${range}`)),
    ).toBe(true);
  });
});

/** Makes every call in every way that prepares another statement. */
function prepareAll(database: Database): void {
  const trimmer = new CountTrimmer(database);
  const feeds = new SqliteFeeds(database, 10, trimmer);
  const check = new FileCheck(database, () => {});
  const inbox = new SqliteInbox(database, feeds);
  const both = { feeds: ["user/ann", "activity"] };
  feeds.append(messages("t", 2, () => ({ key: "k", digest: "d", expireTime: start + 5 })));
  feeds.append([message("t", { key: "k", digest: "d", publishTime: start + keyLifetimeMs })]);
  const batch = messages("t", 600, () => both);
  feeds.append(batch);
  feeds.recall("t", [batch[599]?.id ?? "", batch[598]?.id ?? ""]);
  feeds.read(userFeed("t"), 0, 10, 10, start);
  feeds.append([message("t", { key: "k", digest: "d", replace: true, batchId: "b" })]);
  inbox.batch("t", "b", "", 10, start);
  feeds.trim(start + 1, start + 100);
  inbox.find([userFeed("t")], [batch[597]?.id ?? ""]);
  inbox.countNotifications([{ feed: userFeed("t"), ranges: [[1, unbounded]] }], start);
  inbox.saveReadState("t", "ann", { version: 1, json: "" });
  inbox.saveReadState("t", "ann", { version: 2, json: "" });
  inbox.readState("t", "ann");
  feeds.append([message("t", both)]);
  feeds.forget();
  countBlocks(database);
  for (const each of selections()) inbox.select(each);
  while (trimmer.slice(10));
  const progress = new Set<string>();
  for (let more = true; more; more = check.slice(0.001)) progress.add(check.progress);
  expect([...progress]).toEqual(expect.arrayContaining(["messages, 0 %", "entries, 0 %", "batches, 9 of 13 parts"]));
}

/** Counts blocks of a feed with tallies, without them, and but for one message. */
function countBlocks(database: Database): void {
  const tallies = new Tallies(database, 8);
  const feeds = new SqliteFeeds(database, 100, new CountTrimmer(database), undefined, tallies);
  const inbox = new SqliteInbox(database, feeds, tallies);
  const batch = messages("t", 40, () => ({ feeds: ["room/b"] }));
  feeds.append(batch);
  feeds.recall("t", [batch[8]?.id ?? ""]);
  inbox.countNotifications(
    [
      {
        feed: { tenant: "t", name: "room/b" },
        ranges: [
          [1, 5],
          [7, unbounded],
        ],
      },
    ],
    start,
  );
  expect(tallies.hasWork).toBe(true);
  expect(tallies.slice(10)).toBe(false);
}

/** Returns selections with every combination of filters and orders. */
function selections(): Selection[] {
  const choices: [Partial<Selection>, Partial<Selection>][] = [
    [{ feed: userFeed("t") }, { feed: { tenant: "t", name: "activity" } }],
    [{}, { kinds: [1] }],
    [{}, { categories: ["c"] }],
    [{}, { actorId: "a" }],
    [{}, { objectType: "t", objectId: "o" }],
    [{}, { batchId: "b" }],
    [{}, { startTime: 1, endTime: 2 }],
    [{}, { expired: true }],
    [{ order: "newest" }, { order: "oldest" }],
  ];
  const combined = choices.reduce<Partial<Selection>[]>(
    (all, [left, right]) =>
      all.flatMap((each) => [
        { ...each, ...left },
        { ...each, ...right },
      ]),
    [{}],
  );
  return combined.map((overrides) => selection(userFeed("t"), overrides));
}

test("SqliteStore counts and lists 10,000 unread messages, and prints the time that it takes", async () => {
  const opened = await openSqlite(10_000);
  const feed = userFeed("t");
  for (let round = 0; round < 10; round++) {
    await opened.store.append(messages("t", 1000, () => ({ category: `c${round}`, body: new Uint8Array(500) })));
  }
  const started = performance.now();
  const { byCategory } = await opened.store.countNotifications([{ feed, ranges: [[1, unbounded]] }], start);
  const counted = performance.now();
  const page = await opened.store.select(selection(feed, { order: "newest", kinds: [1], limit: 11 }));
  const listed = performance.now();
  console.log(
    `10,000 unread: totals ${(counted - started).toFixed(1)} ms, first page ${(listed - counted).toFixed(1)} ms`,
  );
  expect([...byCategory.values()]).toEqual(Array(10).fill(1000));
  expect(page.map(({ seq }) => seq)).toEqual([...Array(11)].map((_, index) => 10_000 - index));
  await opened.close();
});
