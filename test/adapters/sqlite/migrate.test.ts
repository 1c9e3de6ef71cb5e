import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { unbounded } from "../../../src/ports/store.ts";
import { message, readAll, start, stored, userFeed } from "../../support/store-messages.ts";
import { makeFolder } from "../../support/store-sqlite.ts";

/** The schema of version 1, as released. Never to be edited. */
const schema1 = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE feeds (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, tail INTEGER NOT NULL, UNIQUE (tenant, name));
  CREATE TABLE messages (
    row INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, tenant TEXT NOT NULL, key TEXT, digest TEXT,
    publish_time INTEGER NOT NULL, expire_time INTEGER, feed INTEGER, seq INTEGER, body BLOB NOT NULL
  );
  CREATE UNIQUE INDEX messages_key ON messages (tenant, key) WHERE key IS NOT NULL;
  CREATE INDEX messages_expire_time ON messages (expire_time) WHERE expire_time IS NOT NULL;
  CREATE TABLE places (message INTEGER, feed INTEGER, seq INTEGER, PRIMARY KEY (message, feed)) WITHOUT ROWID;
  CREATE TABLE entries (
    feed INTEGER, seq INTEGER, message INTEGER NOT NULL, kind INTEGER NOT NULL, category TEXT NOT NULL,
    publish_time INTEGER NOT NULL, expire_time INTEGER, actor_id TEXT, object_type TEXT, object_id TEXT, batch_id TEXT,
    PRIMARY KEY (feed, seq)
  ) WITHOUT ROWID;
  CREATE INDEX entries_object ON entries (feed, object_type, object_id, seq) WHERE object_id IS NOT NULL;
  CREATE INDEX entries_actor ON entries (feed, actor_id, seq) WHERE kind = 2;
  CREATE TABLE read_states (tenant TEXT, user TEXT, version INTEGER NOT NULL, json TEXT NOT NULL, PRIMARY KEY (tenant, user)) WITHOUT ROWID;
  PRAGMA user_version = 1;
`;

const readState = JSON.stringify({ user: { read: [1, 1], deleted: [] } });
let folder: string;
const opened: SqliteStore[] = [];

beforeEach(() => {
  folder = makeFolder();
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  rmSync(folder, { recursive: true, force: true });
});

async function openStore(): Promise<{ store: SqliteStore; secret: Uint8Array }> {
  const store = new SqliteStore({ folder, keep: 1000 });
  opened.push(store);
  return { store, ...(await store.open()) };
}

/** A message of the old database. */
interface OldMessage {
  readonly id: string;
  readonly tenant?: string;
  /** Feed → seq. */
  readonly at: Readonly<Record<string, number>>;
  readonly batch?: string;
  readonly key?: string;
  /** A recalled message: its row stays, without locations. */
  readonly recalled?: boolean;
}

const ids = Array.from({ length: 6 }, () => randomUUID()) as [string, string, string, string, string, string];
const [single, wide, plain, foreign, recalled, last] = ids;
const rows: readonly OldMessage[] = [
  { id: single, at: { "user/ann": 1 }, batch: "b", key: "service\nsingle" },
  { id: wide, at: { "user/ann": 2, "user/bob": 1, tenant: 1 }, batch: "b", key: "service\nwide" },
  { id: plain, at: { "user/ann": 3 } },
  { id: foreign, tenant: "u", at: { "user/ann": 1 }, batch: "b" },
  { id: recalled, at: {}, batch: "b", key: "service\nrecalled", recalled: true },
  { id: last, at: { "user/ann": 4 }, batch: "c" },
];

/** Writes a database as version 1 did. */
function writeOld(): void {
  const database = new DatabaseSync(join(folder, "tidings.db"));
  database.exec(`PRAGMA journal_mode = WAL; ${schema1}`);
  const insert = (table: string, ...values: (string | number | Uint8Array | null)[]) =>
    database.prepare(`INSERT INTO ${table} VALUES (${values.map(() => "?").join(", ")})`).run(...values);
  insert("meta", "epoch", Buffer.from("1700000000"));
  insert("meta", "secret", Buffer.alloc(32, 7));
  const feeds = new Map<string, number>();
  const feedOf = (tenant: string, name: string) => {
    const id = feeds.get(`${tenant} ${name}`) ?? feeds.size + 1;
    if (id > feeds.size) insert("feeds", id, tenant, name, 1);
    feeds.set(`${tenant} ${name}`, id);
    return id;
  };
  rows.forEach(({ id, tenant = "t", at, batch, key, recalled }, index) => {
    const row = index + 1;
    const locations = Object.entries(at).map(([name, seq]) => ({ feed: feedOf(tenant, name), seq }));
    const [only] = locations.length === 1 ? locations : [];
    const body = new TextEncoder().encode(recalled ? "" : id);
    insert(
      "messages",
      ...[row, Buffer.from(id.replaceAll("-", ""), "hex"), tenant, key ?? null, key ? "d" : null],
      ...[start, null, only?.feed ?? null, only?.seq ?? null, body],
    );
    for (const { feed, seq } of locations) {
      insert("entries", feed, seq, row, 1, "x", start, null, null, null, null, batch ?? null);
      if (!only) insert("places", row, feed, seq);
    }
  });
  // The last message of bob's feed was recalled: a tombstone, which still has the id of its batch.
  insert("entries", feedOf("t", "user/bob"), 2, 0, 0, "", start, null, null, null, null, "b");
  insert("read_states", "t", "ann", 3, readState);
  database.close();
}

async function batch(store: SqliteStore, tenant: string, name: string): Promise<string[]> {
  const { entries, next } = await store.batch(tenant, name, "", 100, start);
  expect(next).toBe("");
  return entries.map(({ id, feed, seq }) => `${id} ${feed.tenant} ${feed.name} ${seq}`);
}

/** Checks that a store has everything that the old database had. */
async function checkOld(store: SqliteStore): Promise<void> {
  const entries = await readAll(store, userFeed("t"));
  expect(entries.map(({ id }) => id)).toEqual([single, wide, plain, last]);
  expect(entries.map(({ body }) => new TextDecoder().decode(body))).toEqual([single, wide, plain, last]);
  expect(entries.map(({ batchId, epoch }) => `${batchId} ${epoch}`)).toEqual(
    ["b", "b", "", "c"].map((name) => `${name} 1700000000`),
  );
  expect(await store.readState("t", "ann")).toEqual({ version: 3, json: readState });
  const { byCategory } = await store.countNotifications([{ feed: userFeed("t"), ranges: [[2, unbounded]] }], start);
  expect([...byCategory]).toEqual([["x", 3]]);
  expect(await batch(store, "t", "b")).toEqual([
    `${wide} t user/ann 2`,
    `${wide} t user/bob 1`,
    `${wide} t tenant 1`,
    `${single} t user/ann 1`,
  ]);
  expect(await batch(store, "u", "b")).toEqual([`${foreign} u user/ann 1`]);
  expect(await batch(store, "t", "c")).toEqual([`${last} t user/ann 4`]);
}

describe("A database of version 1", () => {
  test("keeps everything when it is migrated, and its batches can be listed", async () => {
    writeOld();
    const { store, secret } = await openStore();
    expect(Buffer.from(secret)).toEqual(Buffer.alloc(32, 7));
    await checkOld(store);
    const again = ["single", "wide", "recalled"].map((key) => message("t", { key: `service\n${key}`, digest: "d" }));
    expect(await store.append(again)).toMatchObject(
      [single, wide, recalled].map((id) => ({ outcome: "duplicate", id })),
    );
  });

  test("takes new messages into its batches, recalls them and replaces them after its migration", async () => {
    writeOld();
    const { store } = await openStore();
    const next = message("t", { batchId: "b" });
    expect(stored((await store.append([next]))[0]).seqs).toEqual([5]);
    expect((await batch(store, "t", "b"))[0]).toBe(`${next.id} t user/ann 5`);
    const resent = message("t", { batchId: "b", key: "service\nwide", digest: "e", replace: true });
    const [answer] = await store.append([resent]);
    expect(
      stored(answer)
        .replaced?.map(({ feed, seq }) => `${feed.name} ${seq}`)
        .sort(),
    ).toEqual(["tenant 1", "user/ann 2", "user/bob 1"]);
    await store.recall("t", [single, next.id, resent.id]);
    expect(await batch(store, "t", "b")).toEqual([]);
    expect(await batch(store, "u", "b")).toHaveLength(1);
    // The numbering goes on after a tombstone.
    const [to] = await store.append([message("t", { feeds: ["user/bob"] })]);
    expect(stored(to).seqs).toEqual([3]);
  });

  test("is migrated once, and is the same when it is opened again", async () => {
    writeOld();
    const first = await openStore();
    await first.store.close();
    const second = await openStore();
    await checkOld(second.store);
    await second.store.close();
    const database = new DatabaseSync(join(folder, "tidings.db"));
    expect(database.prepare("PRAGMA user_version").get()).toEqual({ user_version: 3 });
    expect(database.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
    database.close();
  });

  test("with 20,000 messages is migrated within seconds", async () => {
    writeOld();
    const database = new DatabaseSync(join(folder, "tidings.db"));
    database.exec(`
      WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 20099)
      INSERT INTO messages SELECT i, randomblob(16), 't', NULL, NULL, ${start}, NULL, 1, i, x'00' FROM n;
      INSERT INTO entries SELECT 1, row, row, 1, '', ${start}, NULL, NULL, NULL, NULL, 'big' FROM messages WHERE row >= 100;
    `);
    database.close();
    const begin = performance.now();
    const { store } = await openStore();
    expect(performance.now() - begin).toBeLessThan(5000);
    const { entries, next } = await store.batch("t", "big", "", 3, start);
    expect(entries.map(({ seq }) => seq)).toEqual([20_099, 20_098, 20_097]);
    expect(next).not.toBe("");
  });
});
