import { expect, test } from "vitest";
import { appendOne, endless, message, messages, readAll, start, stored, upTo, userFeed } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** Seqs are contiguous and final. */
export function appendLaw(bench: StoreBench): void {
  test("numbers each feed from 1, and answers in the order given", async () => {
    const tenant = bench.tenant();
    const batch = messages(tenant, 6, (index) => ({ feeds: [index % 2 ? "user/ann" : "user/bob"] }));
    const appended = (await bench.store.append(batch)).map(stored);
    expect(appended.map(({ seqs }) => seqs)).toEqual([[1], [1], [2], [2], [3], [3]]);
    expect(appended.map(({ id }) => id)).toEqual(batch.map(({ id }) => id));
    expect(appended.every(({ publishTime }) => publishTime === start)).toBe(true);
  });

  test("answers one seq per feed of a message, in the order of its feeds", async () => {
    const tenant = bench.tenant();
    await bench.store.append([message(tenant, { feeds: ["user/bob"] })]);
    const [appended] = await bench.store.append([message(tenant, { feeds: ["user/ann", "user/bob", "tenant"] })]);
    expect(stored(appended).seqs).toEqual([1, 2, 1]);
  });

  test("accepts an empty list", async () => {
    expect(await bench.store.append([])).toEqual([]);
  });

  test("neither skips nor repeats a seq among concurrent callers", async () => {
    const tenant = bench.tenant();
    const feeds = ["user/ann", "user/bob", "tenant"];
    const calls = Array.from({ length: 200 }, (_, index) => {
      const names = index % 5 === 0 ? feeds : [feeds[index % 3] as string];
      return { names, append: message(tenant, { feeds: names }) };
    });
    const answers = await Promise.all(calls.map(({ append }) => bench.store.append([append])));
    const seqs = new Map<string, number[]>(feeds.map((name) => [name, []]));
    calls.forEach(({ names }, index) => {
      const given = stored(answers[index]?.[0]).seqs;
      for (const [index, name] of names.entries()) seqs.get(name)?.push(given[index] as number);
    });
    for (const [name, given] of seqs) {
      const ascending = given.toSorted((a, b) => a - b);
      expect(ascending).toEqual(upTo(given.length));
      expect((await readAll(bench.store, { tenant, name })).map(({ seq }) => seq)).toEqual(ascending);
    }
  });

  test("never adds an entry at or below a seq that was readable", async () => {
    const tenant = bench.tenant();
    const feed = userFeed(tenant);
    let writing = 8;
    const seen: string[] = [];
    const writers = Array.from({ length: writing }, async () => {
      for (let count = 0; count < 25; count++) await appendOne(bench.store, message(tenant));
      writing--;
    });
    while (writing > 0 || seen.length < 200) {
      const { bounds, entries, through } = await bench.store.read(feed, 0, endless, 1000, start);
      expect(through).toBe(bounds.seq);
      const ids = entries.map(({ id }) => id);
      expect(ids.slice(0, seen.length)).toEqual(seen);
      expect(ids).toHaveLength(bounds.seq);
      seen.splice(0, seen.length, ...ids);
    }
    await Promise.all(writers);
    expect(seen).toHaveLength(200);
  });

  test("appends one message to 10,000 feeds, with a seq of its own in each", async () => {
    await bench.alone(100, async ({ store }) => {
      const feeds = upTo(10_000).map((user) => `user/${user}`);
      await store.append([message("t", { feeds: ["user/5000"] })]);
      const body = new Uint8Array(60_000).fill(7);
      const [appended] = await store.append([message("t", { feeds, body })]);
      expect(stored(appended).seqs).toEqual(feeds.map((name) => (name === "user/5000" ? 2 : 1)));
      const { entries } = await store.read(userFeed("t", "9999"), 0, endless, 10, start);
      expect(entries.map((entry) => entry.body)).toEqual([body]);
    });
  });

  test("stores a message in the feeds that it names only", async () => {
    const tenant = bench.tenant();
    await appendOne(bench.store, message(tenant));
    expect(await readAll(bench.store, userFeed(tenant, "bob"))).toEqual([]);
  });

  test("stores every field, and read returns it", async () => {
    const tenant = bench.tenant();
    const given = message(tenant, {
      body: Uint8Array.from({ length: 256 }, (_, index) => index),
      kind: 2,
      category: "système ✓",
      actorId: "ann'; --",
      objectType: "task",
      objectId: "日本 語/1",
      batchId: "b-1",
      publishTime: start + 0.5,
      expireTime: start + 1000.25,
    });
    const [appended] = await bench.store.append([given]);
    const { tenant: _tenant, feeds: _feeds, key: _key, digest: _digest, replace: _replace, ...entry } = given;
    const { epoch } = stored(appended);
    expect(await readAll(bench.store, userFeed(tenant))).toEqual([{ ...entry, epoch, seq: 1 }]);
  });

  test("moves the bounds of its feeds, which bounds returns in the order given, also for a feed without messages", async () => {
    const tenant = bench.tenant();
    await bench.store.append(messages(tenant, 3));
    const bounds = await bench.store.bounds([userFeed(tenant, "nobody"), userFeed(tenant), userFeed(tenant, "nobody")]);
    expect(bounds.map(({ seq, tail }) => ({ seq, tail }))).toEqual([
      { seq: 0, tail: 1 },
      { seq: 3, tail: 1 },
      { seq: 0, tail: 1 },
    ]);
    expect(new Set(bounds.map(({ epoch }) => epoch)).size).toBe(1);
  });
}
