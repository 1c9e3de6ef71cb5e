import { execFileSync } from "node:child_process";
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CountTrimmer } from "../../../src/adapters/sqlite/count-trimmer.ts";
import { Database } from "../../../src/adapters/sqlite/database.ts";
import { SqliteFeeds } from "../../../src/adapters/sqlite/feeds.ts";
import { reasonOf } from "../../../src/errors.ts";
import { selectAll } from "../../../src/inbox/selection.ts";
import type { Store, StoreHealth } from "../../../src/ports/store.ts";
import type { OpenedStore } from "../../../src/testing/store-bench.ts";
import { appendOne, message, messages, readAll, start, stored, upTo, userFeed } from "../../support/store-messages.ts";
import { childCommand } from "../../support/store-process.ts";
import { makeFolder, openSqlite } from "../../support/store-sqlite.ts";
import { countCommits } from "../../support/store-wal.ts";

let folder: string;
let opened: OpenedStore | undefined;

beforeEach(() => {
  folder = makeFolder();
});
afterEach(async () => {
  await opened?.close();
  opened = undefined;
  rmSync(folder, { recursive: true, force: true });
});

async function open(): Promise<Store> {
  opened = await openSqlite(10_000, folder);
  return opened.store;
}

/** Returns the error of a call, which must be rejected as the port says. */
async function rejection(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw new Error(`expected a ConnectError, got ${error}`);
  expect(error.code).toBe(Code.Unavailable);
  expect(reasonOf(error)).toBe("STORE_UNAVAILABLE");
  return error;
}

describe("A commit", () => {
  test("is shared by all calls of one event-loop tick", async () => {
    const store = await open();
    const before = countCommits(folder);
    const calls = upTo(500).map(() => appendOne(store, message("t")));
    const states = upTo(50).map((user) => store.saveReadState("t", `${user}`, { version: 1, json: "" }));
    expect(await Promise.all(calls)).toEqual(upTo(500));
    expect(await Promise.all(states)).toEqual(states.map(() => true));
    const commits = countCommits(folder) - before;
    expect(commits).toBeGreaterThanOrEqual(1);
    expect(commits).toBeLessThanOrEqual(5);
  });

  test("is made for each of several calls that follow one another", async () => {
    const store = await open();
    const before = countCommits(folder);
    for (let count = 0; count < 20; count++) await appendOne(store, message("t"));
    expect(countCommits(folder) - before).toBe(20);
  });

  test("is not made for reads", async () => {
    const store = await open();
    await appendOne(store, message("t"));
    const before = countCommits(folder);
    await Promise.all([
      store.bounds([userFeed("t")]),
      readAll(store, userFeed("t")),
      store.countNotifications([], start),
    ]);
    expect(countCommits(folder)).toBe(before);
  });
});

test("SqliteStore stores a message for 10,000 feeds once", async () => {
  const store = await open();
  const body = new Uint8Array(60_000).map(() => Math.floor(Math.random() * 256));
  await store.append([message("t", { feeds: upTo(10_000).map((user) => `user/${user}`), body })]);
  await store.close();
  const database = new DatabaseSync(join(folder, "tidings.db"), { readOnly: true });
  const count = (table: string) => database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n;
  expect({ messages: count("messages"), places: count("places"), entries: count("entries") }).toEqual({
    messages: 1,
    places: 10_000,
    entries: 10_000,
  });
  database.close();
  const size = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  expect(size).toBeLessThan(5_000_000);
});

describe("A full disk", () => {
  let mounted = false;
  afterEach(() => {
    if (mounted) execFileSync("umount", ["-l", folder]);
    mounted = false;
  });

  test("makes writes fail without a change, until there is space again", async ({ skip }) => {
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], { stdio: "ignore" });
      mounted = true;
    } catch {
      // The next test needs no permission, and so is never skipped.
      console.log("skipped: a full disk that gets space again, since only root may mount a small one");
      return skip();
    }
    opened = await openSqlite(10_000, join(folder, "data"));
    const { store } = opened;
    const append = { feeds: ["user/ann", "tenant"], body: new Uint8Array(20_000).fill(1) };
    const write = () => appendOne(store, message("t", append));
    let written = 0;
    while ((await write().catch(() => 0)) > 0) written++;
    expect(written).toBeGreaterThan(10);
    for (const call of [write(), write(), write()]) expect((await rejection(call)).cause).toBeInstanceOf(Error);

    const feeds = [userFeed("t"), { tenant: "t", name: "tenant" }];
    // Reads succeed beside writes that fail in the same batch.
    const failing = upTo(20).map(() => rejection(write()));
    expect((await store.bounds(feeds)).map(({ seq }) => seq)).toEqual([written, written]);
    for (const feed of feeds) {
      failing.push(rejection(write()));
      expect((await readAll(store, feed)).map(({ seq }) => seq)).toEqual(upTo(written));
    }
    await Promise.all(failing);
    let health: StoreHealth | undefined;
    store.watch?.((seen) => (health = seen))();
    expect(health?.state).toBe("usable");

    execFileSync("mount", ["-o", "remount,size=32m", folder]);
    expect(await Promise.all([write(), write()])).toEqual([written + 1, written + 2]);
    const again = await opened.reopen?.();
    for (const feed of feeds) {
      expect((await readAll(again?.store ?? store, feed)).map(({ seq }) => seq)).toEqual(upTo(written + 2));
    }
  });

  test("at a limit of the file size loses nothing that was answered", async () => {
    const limited = ["-c", 'ulimit -f 4096; exec "$@"', "sh", ...childCommand("fill", folder)];
    const lines = execFileSync("sh", limited, { encoding: "utf8" }).trim().split("\n");
    const written = Number(/^written (\d+) /.exec(lines[2] ?? "")?.[1]);
    expect(lines).toEqual([
      "open",
      "[unavailable] the store did not answer; repeat the request",
      `written ${written} ${written} ${written}`,
    ]);
    expect(written).toBeGreaterThan(10);
    const store = await open();
    expect((await readAll(store, userFeed("t"))).map(({ seq }) => seq)).toEqual(upTo(written));
    expect(await appendOne(store, message("t"))).toBe(written + 1);
  });

  test("in the middle of a transaction leaves half of it neither on disk nor in memory", () => {
    const database = new Database(folder);
    const feeds = new SqliteFeeds(database, 100, new CountTrimmer(database));
    const append = (count: number) => {
      try {
        return database.transaction(() =>
          feeds.append(messages("t", count, () => ({ body: new Uint8Array(3000), key: "" }))),
        );
      } catch (error) {
        feeds.forget();
        throw error;
      }
    };
    append(2);
    const [pages] = database.sql("PRAGMA page_count").all();
    database.sql(`PRAGMA max_page_count = ${Number(pages?.page_count) + 5}`).all();
    expect(() => append(50)).toThrow(/full/);
    expect(feeds.boundsOf(userFeed("t"))).toMatchObject({ seq: 2, tail: 1 });
    expect(database.sql("SELECT count(*) AS n FROM messages").get()?.n).toBe(2);
    database.sql("PRAGMA max_page_count = 100000").all();
    expect(append(50).map((appended) => stored(appended).seqs[0])).toEqual(upTo(52, 3));
    database.close();
  });
});

describe("A call that fails", () => {
  /** A message whose id is none: SQLite refuses its row. */
  const bad = () => message("t", { id: "not a UUID" });

  test("leaves the other calls of its batch alone, wherever it stands among them", async () => {
    const store = await open();
    let seq = 0;
    for (const position of [0, 7, 15]) {
      const before = countCommits(folder);
      const calls = upTo(16, 1).map((_, index) =>
        index === position ? rejection(store.append([bad()])).then(() => 0) : appendOne(store, message("t")),
      );
      const reads = [store.bounds([userFeed("t")]), store.readState("t", "ann"), readAll(store, userFeed("t"))];
      expect(await Promise.all(calls)).toEqual(upTo(16).map((_, index) => (index === position ? 0 : ++seq)));
      await Promise.all(reads);
      // The calls before it and the calls after it share a commit each.
      expect(countCommits(folder) - before).toBeLessThanOrEqual(3);
    }
    expect((await readAll(store, userFeed("t"))).map(({ seq }) => seq)).toEqual(upTo(45));
  });

  test("stores nothing of its own messages", async () => {
    const store = await open();
    const [first, second] = await Promise.allSettled([
      store.append([message("t"), bad(), message("t")]),
      appendOne(store, message("t")),
    ]);
    expect([first.status, second.status]).toEqual(["rejected", "fulfilled"]);
    expect((await readAll(store, userFeed("t"))).map(({ seq }) => seq)).toEqual([1]);
  });

  test("costs a thousand others that fail with it no attempt of their own", async () => {
    const store = await open();
    const errors = await Promise.all(upTo(1000).map(() => rejection(store.append([bad()]))));
    expect(new Set(errors.map(({ cause }) => (cause as Error).message)).size).toBe(1);
    expect(await appendOne(store, message("t"))).toBe(1);
  });
});

describe("The thread of a store", () => {
  test("refuses calls beyond its limit, and only those", async () => {
    const store = await open();
    const calls = upTo(50_010).map(() => store.readState("t", "ann"));
    const refused = calls.splice(50_000).map(rejection);
    expect((await Promise.all(refused)).map(({ cause }) => String(cause))).toEqual(
      Array(10).fill("Error: too many calls are waiting for the store"),
    );
    expect(await Promise.all(calls)).toHaveLength(50_000);
    expect(await appendOne(store, message("t"))).toBe(1);
  });

  test("makes equal reads of one message once, and again after a write", async () => {
    const store = await open();
    const first = [store.bounds([userFeed("t")]), store.bounds([userFeed("t")]), store.bounds([userFeed("u")])];
    const [one, same, other] = await Promise.all(first);
    expect(same).toBe(one);
    expect(other).not.toBe(one);
    const [before, seq, after] = await Promise.all([
      store.bounds([userFeed("t")]),
      appendOne(store, message("t")),
      store.bounds([userFeed("t")]),
    ]);
    expect([before[0]?.seq, seq, after[0]?.seq]).toEqual([0, 1, 1]);
    // Selections that differ in nothing but their time are different reads.
    const select = (now: number) => store.select({ ...selectAll({ name: "user", key: userFeed("t") }, [[1, 9]], now) });
    const [young, again, old] = await Promise.all([select(start), select(start), select(start + 1)]);
    expect(again).toBe(young);
    expect(old).not.toBe(young);
  });
});
