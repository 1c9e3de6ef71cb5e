import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { FeedKey, SeqRanges } from "../ports/store.ts";
import { message, messages, never, start, userFeed } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** Counts are exact, within ranges, at a time. */
export function countLaw(bench: StoreBench): void {
  async function count(feed: FeedKey, ranges: SeqRanges, now = start) {
    const { byCategory, nextExpiry, bounds } = await bench.store.countNotifications([{ feed, ranges }], now);
    return { byCategory: Object.fromEntries(byCategory), nextExpiry, bounds };
  }

  test("counts notifications by category, and no other kinds", async () => {
    const feed = userFeed(bench.tenant());
    const batch = messages(feed.tenant, 9, (index) => ({
      kind: (index % 3) + 1,
      category: index < 6 ? "system" : "",
    }));
    await bench.store.append(batch);
    expect(await count(feed, [[1, 9]])).toMatchObject({ byCategory: { system: 2, "": 1 }, nextExpiry: never });
  });

  test("counts within the ranges only, which include both ends", async () => {
    const feed = userFeed(bench.tenant());
    await bench.store.append(messages(feed.tenant, 20));
    for (const [ranges, expected] of [
      [[[1, 20]], 20],
      [[[3, 3]], 1],
      [
        [
          [1, 2],
          [5, 6],
          [20, 90],
        ],
        5,
      ],
      [[[1, Number.MAX_SAFE_INTEGER]], 20],
      [[[21, 30]], 0],
      [[], 0],
    ] as const) {
      expect(Object.values((await count(feed, ranges)).byCategory).reduce((sum, n) => sum + n, 0)).toBe(expected);
    }
  });

  test.each([1999, 2000])(
    "counts every other message of %i, the most ranges that a read state can have",
    async (length) => {
      const feed = userFeed(bench.tenant());
      await bench.store.append(messages(feed.tenant, length));
      const ranges = Array.from({ length: 1000 }, (_, index) => [index * 2 + 1, index * 2 + 1] as const);
      expect((await count(feed, ranges)).byCategory).toEqual({ "": 1000 });
    },
  );

  test("leaves out a message from its expire time on, and returns the next expiry", async () => {
    const feed = userFeed(bench.tenant());
    const times = [start + 10, never, start + 30, start + 20];
    await bench.store.append(messages(feed.tenant, 4, (index) => ({ expireTime: times[index] as number })));
    await bench.store.append([message(feed.tenant, { kind: 2, expireTime: start + 5 })]);
    const at = async (now: number, ranges: SeqRanges = [[1, 9]]) => {
      const { byCategory, nextExpiry } = await count(feed, ranges, now);
      return [byCategory[""], nextExpiry];
    };
    expect(await at(start)).toEqual([4, start + 10]);
    expect(await at(start + 9)).toEqual([4, start + 10]);
    expect(await at(start + 10)).toEqual([3, start + 20]);
    expect(await at(start + 29)).toEqual([2, start + 30]);
    expect(await at(start + 30)).toEqual([1, never]);
    expect(await at(start, [[2, 3]])).toEqual([2, start + 30]);
  });

  test("adds up feeds, and returns their bounds in the order given, also for feeds without ranges", async () => {
    const tenant = bench.tenant();
    await bench.store.append(messages(tenant, 3, () => ({ category: "a" })));
    await bench.store.append(messages(tenant, 2, (index) => ({ feeds: ["tenant"], category: index ? "a" : "b" })));
    const feeds = [
      { feed: { tenant, name: "tenant" }, ranges: [[1, 9]] as const },
      { feed: userFeed(tenant, "nobody"), ranges: [[1, 9]] as const },
      { feed: userFeed(tenant), ranges: [[2, 3]] as const },
      { feed: userFeed(tenant), ranges: [] },
    ];
    const { byCategory, bounds } = await bench.store.countNotifications(feeds, start);
    expect(Object.fromEntries(byCategory)).toEqual({ a: 3, b: 1 });
    expect(bounds.map(({ seq }) => seq)).toEqual([2, 0, 3, 3]);
    expect(bounds).toEqual(await bench.store.bounds(feeds.map(({ feed }) => feed)));
  });

  test("returns the categories of a feed before those that only later feeds have", async () => {
    const tenant = bench.tenant();
    const names = ["user/ann", "room/2", "room/1"];
    for (const [first, name] of [...names.entries()].toReversed()) {
      await bench.store.append(messages(tenant, 9, (index) => ({ feeds: [name], category: `c${first * 4 + index}` })));
    }
    const asked = names.map((name) => ({ feed: { tenant, name }, ranges: [[1, 9]] as const }));
    const { byCategory } = await bench.store.countNotifications(asked, start);
    const feedOf = (category: string) => Math.max(0, Math.floor((Number(category.slice(1)) - 5) / 4));
    const order = [...byCategory.keys()].map(feedOf);
    expect(order).toHaveLength(17);
    expect(order).toEqual(order.toSorted());
  });

  test("adds up as many feeds as a user has rooms, each in ranges of its own", async () => {
    const tenant = bench.tenant();
    const names = Array.from({ length: 120 }, (_, index) => `room/${index}`);
    for (let round = 0; round < 4; round++) {
      const each = (index: number) => ({ feeds: [names[index] as string], category: `c${index % 2}` });
      // Later rounds leave out the last feeds, so that the feeds end at different seqs.
      await bench.store.append(messages(tenant, names.length - 20 * round, each));
    }
    const ranges = [[1, 1] as const, [3, 9] as const];
    const asked = names.map((name) => ({ feed: { tenant, name }, ranges }));
    const { byCategory, oldest } = await bench.store.countNotifications(asked, start);
    expect(Object.fromEntries(byCategory)).toEqual({ c0: 130, c1: 130 });
    expect(oldest).toEqual(names.map(() => 1));
  });

  test("is exact up to the bounds that it returns, while others append", async () => {
    const feed = userFeed(bench.tenant());
    const writers = Array.from({ length: 40 }, () => bench.store.append(messages(feed.tenant, 5)));
    for (let round = 0; round < 40; round++) {
      const { byCategory, bounds } = await count(feed, [[1, Number.MAX_SAFE_INTEGER]]);
      expect(byCategory[""] ?? 0).toBe(bounds[0]?.seq);
    }
    await Promise.all(writers);
  });
}

/** Messages are found by their ids within feeds, and nowhere else. */
export function findLaw(bench: StoreBench): void {
  test("returns locations in the given feeds only", async () => {
    const tenant = bench.tenant();
    await bench.store.append(messages(tenant, 2));
    const both = message(tenant, {
      feeds: ["user/ann", "user/bob", "tenant"],
      kind: 3,
      category: "c",
      expireTime: start + 9,
    });
    const one = message(tenant, { feeds: ["user/bob"] });
    await bench.store.append([both, one]);
    const location = { id: both.id, kind: 3, category: "c", expireTime: start + 9 };
    const locations = await bench.store.find([userFeed(tenant), { tenant, name: "tenant" }], [both.id, one.id]);
    expect(locations).toHaveLength(2);
    expect(locations).toContainEqual({ ...location, feed: userFeed(tenant), seq: 3 });
    expect(locations).toContainEqual({ ...location, feed: { tenant, name: "tenant" }, seq: 1 });
  });

  test("ignores ids that are foreign, unknown or malformed", async () => {
    const [ours, theirs] = [bench.tenant(), bench.tenant()];
    const foreign = message(theirs);
    await bench.store.append([foreign, message(ours)]);
    const bad = ["", "x", "%", "' OR 1=1", `${foreign.id} `, foreign.id.replaceAll("-", ""), "\u0000", "🦄".repeat(36)];
    expect(await bench.store.find([userFeed(ours)], [foreign.id, randomUUID(), ...bad])).toEqual([]);
    expect(await bench.store.find([], [foreign.id])).toEqual([]);
    expect(await bench.store.find([userFeed(ours, "nobody")], [foreign.id])).toEqual([]);
    expect(await bench.store.find([userFeed(theirs)], [])).toEqual([]);
  });

  test("returns each location once, also for an id that is given twice or in upper case", async () => {
    const tenant = bench.tenant();
    const asked = message(tenant);
    await bench.store.append([asked]);
    const locations = await bench.store.find([userFeed(tenant)], [asked.id, asked.id.toUpperCase(), asked.id]);
    expect(locations.map(({ id, seq }) => ({ id, seq }))).toEqual([{ id: asked.id, seq: 1 }]);
  });
}
