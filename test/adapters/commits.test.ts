/** Stores report each durable write to their commit listener. */

import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import type { Commit } from "../../src/ports/store.ts";
import { describeWith } from "../support/require.ts";
import { message } from "../support/store-messages.ts";
import { anyMongo, type MongoBench, openBench, openMongo } from "../support/store-mongo.ts";

const sum = (commits: readonly Commit[]) => commits.reduce((total, { messages }) => total + messages, 0);
const feeds = ["user/ann"];

test("SqliteStore reports each commit with the messages of all calls that share it", async () => {
  const commits: Commit[] = [];
  const store = new SqliteStore({ folder: ":memory:", keep: 100 }, (commit) => commits.push(commit));
  await store.open();
  await Promise.all([
    store.append([message("t", { feeds }), message("t", { feeds })]),
    store.append([message("t", { feeds })]),
  ]);
  expect(commits).toEqual([{ messages: 3, seconds: expect.any(Number) }]);
  expect(commits[0]?.seconds).toBeGreaterThan(0);
  await store.bounds([{ tenant: "t", name: "user/ann" }]);
  expect(commits, "a read is no commit").toHaveLength(1);
  await store.saveReadState("t", "ann", { version: 1, json: "{}" });
  expect(commits[1]).toMatchObject({ messages: 0 });
  await store.close();
});

test("SqliteStore goes on when its commit listener throws, and the error becomes a process warning", async () => {
  const bug = new Error("a bug of the listener");
  const emitted = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  const store = new SqliteStore({ folder: ":memory:", keep: 100 }, () => {
    throw bug;
  });
  await store.open();
  for (const seq of [1, 2]) {
    expect(await store.append([message("t", { feeds })])).toMatchObject([{ outcome: "stored", seqs: [seq] }]);
  }
  await store.close();
  expect(emitted).toHaveBeenCalledWith(bug);
  emitted.mockRestore();
});

describeWith(anyMongo)("MongoStore", () => {
  let bench: MongoBench;
  beforeAll(async () => {
    bench = await openBench();
  });
  afterAll(() => bench.close());

  test("reports each insert with the messages that it appended", async () => {
    const commits: Commit[] = [];
    const options = { committed: (commit: Commit) => commits.push(commit) };
    const { store, close } = await openMongo(bench, 100, bench.url(), options);
    await store.append([message("t", { feeds }), message("t", { feeds }), message("t", { feeds })]);
    expect(commits).toEqual([{ messages: 3, seconds: expect.any(Number) }]);
    await Promise.all(["a", "b", "c"].map((name) => store.append([message("t", { feeds: [`user/${name}`] })])));
    expect(sum(commits)).toBe(6);
    await store.append([message("t", { feeds, key: "k", digest: "d" })]);
    await store.append([message("t", { feeds, key: "k", digest: "d" })]);
    expect(sum(commits), "a duplicate is not appended").toBe(7);
    await close();
  });
});
