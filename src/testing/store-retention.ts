import { describe, expect, test } from "vitest";
import type { FeedBounds, FeedKey, Store } from "../ports/store.ts";
import { appendOne, endless, message, messages, readAll, selection, start, upTo, userFeed } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** Retention removes the oldest entries, moves the tail, and never uses a seq again. */
export function retentionLaw(bench: StoreBench): void {
  describe("by count", () => {
    test("keeps exactly the newest entries, from the tail on", async () => {
      await bench.alone(10, async ({ store }) => {
        const feed = userFeed("t");
        for (let count = 1; count <= 30; count++) {
          await appendOne(store, message("t"));
          expect(await seqs(store, feed)).toEqual(upTo(count, Math.max(1, count - 9)));
          expect(await boundsOf(store, feed)).toMatchObject({ seq: count, tail: Math.max(1, count - 9) });
        }
      });
    });

    test("holds in every result, also after one large call", async () => {
      await bench.alone(10, async ({ store }) => {
        const batch = messages("t", 1000, () => ({ category: "c" }));
        await store.append(batch);
        const feed = userFeed("t");
        const kept = upTo(1000, 991);
        expect(await seqs(store, feed)).toEqual(kept);
        for (const order of ["oldest", "newest"] as const) {
          const selected = await store.select(selection(feed, { order }));
          expect(selected.map(({ seq }) => seq)).toEqual(order === "oldest" ? kept : kept.toReversed());
        }
        const counted = await store.countNotifications([{ feed, ranges: [[1, 995]] }], start);
        expect([...counted.byCategory]).toEqual([["c", 5]]);
        const found = await store.find(
          [feed],
          batch.map(({ id }) => id),
        );
        expect(found.map(({ seq }) => seq)).toEqual(kept);
      });
    });

    test("removes a message of several feeds from each feed by itself", async () => {
      await bench.alone(10, async ({ store }) => {
        const shared = message("t", { feeds: ["user/ann", "user/bob"] });
        await store.append([shared]);
        await store.append(messages("t", 600, () => ({ feeds: ["user/ann"] })));
        expect(await seqs(store, userFeed("t"))).toEqual(upTo(601, 592));
        expect((await readAll(store, userFeed("t", "bob"))).map(({ id, body }) => ({ id, body }))).toEqual([
          { id: shared.id, body: shared.body },
        ]);
        await store.append(messages("t", 600, () => ({ feeds: ["user/bob"] })));
        expect(await seqs(store, userFeed("t", "bob"))).toEqual(upTo(601, 592));
        expect(await store.find([userFeed("t"), userFeed("t", "bob")], [shared.id])).toEqual([]);
      });
    });

    test("answers every question alike while the messages that it dropped are being deleted", async () => {
      await bench.alone(10, async ({ store }) => {
        const names = upTo(4).map((user) => `user/${user}`);
        const feeds = names.map((name) => ({ tenant: "t", name }));
        for (let round = 1; round <= 4; round++) {
          const dropped = messages("t", 100, () => ({ feeds: names, category: "c" }));
          const kept = messages("t", 10, () => ({ feeds: names, category: "c" }));
          await store.append([...dropped, ...kept]);
          const seq = round * 110;
          const ids = [...dropped.slice(-5), ...kept].map(({ id }) => id);
          const [bounds, read, count, found] = await Promise.all([
            store.bounds(feeds),
            Promise.all(feeds.map((feed) => seqs(store, feed))),
            store.countNotifications(
              feeds.map((feed) => ({ feed, ranges: [[1, endless]] as const })),
              start,
            ),
            store.find(feeds, ids),
          ]);
          expect(bounds.map(({ tail }) => tail)).toEqual(feeds.map(() => seq - 9));
          expect(read).toEqual(feeds.map(() => upTo(seq, seq - 9)));
          expect([...count.byCategory]).toEqual([["c", 40]]);
          expect(new Set(found.map(({ id }) => id))).toEqual(new Set(kept.map(({ id }) => id)));
          expect(await store.recall("t", [dropped[0]?.id ?? ""])).toEqual([]);
        }
      });
    });

    test("counts recalled messages", async () => {
      await bench.alone(3, async ({ store }) => {
        const batch = messages("t", 4);
        await store.append(batch);
        await store.recall("t", [batch[2]?.id ?? ""]);
        await appendOne(store, message("t"));
        expect(await seqs(store, userFeed("t"))).toEqual([4, 5]);
        expect(await boundsOf(store, userFeed("t"))).toMatchObject({ seq: 5, tail: 3 });
      });
    });
  });

  describe("by age", () => {
    test("removes older messages, and moves the tail", async () => {
      await bench.alone(1000, async ({ store }) => {
        await store.append(messages("t", 10, (index) => ({ publishTime: start + index })));
        expect(await trimAll(store, start + 4, start + 10)).toBe(4);
        expect(await seqs(store, userFeed("t"))).toEqual(upTo(10, 5));
        expect(await boundsOf(store, userFeed("t"))).toMatchObject({ seq: 10, tail: 5 });
        expect(await trimAll(store, start + 4, start + 10)).toBe(0);
      });
    });

    test("continues the seqs of a feed that it has emptied", async () => {
      await bench.alone(1000, async ({ store }) => {
        await store.append(messages("t", 3));
        await trimAll(store, start + 1, start);
        expect(await seqs(store, userFeed("t"))).toEqual([]);
        expect(await boundsOf(store, userFeed("t"))).toMatchObject({ seq: 3, tail: 4 });
        expect(await appendOne(store, message("t", { publishTime: start + 1 }))).toBe(4);
        expect(await seqs(store, userFeed("t"))).toEqual([4]);
        expect(await boundsOf(store, userFeed("t"))).toMatchObject({ seq: 4, tail: 4 });
      });
    });

    test("takes as many steps as it needs, over the feeds of all tenants", async () => {
      await bench.alone(10_000, async ({ store }) => {
        await store.append([
          ...messages("t", 700),
          ...messages("u", 700, () => ({ feeds: ["user/ann", "tenant"] })),
          message("t", { publishTime: start + 1 }),
        ]);
        expect(await trimAll(store, start + 1, start)).toBe(1400);
        expect(await seqs(store, userFeed("t"))).toEqual([701]);
        const bounds = await store.bounds([userFeed("t"), userFeed("u"), { tenant: "u", name: "tenant" }]);
        expect(bounds.map(({ seq, tail }) => [seq, tail])).toEqual([
          [701, 701],
          [700, 701],
          [700, 701],
        ]);
      });
    });

    test("keeps younger messages that lie before or after older ones, when clocks step back", async () => {
      await bench.alone(1000, async ({ store }) => {
        const times = [5, 1, 6, 2, 9, 8, 9];
        await store.append(messages("t", times.length, (index) => ({ publishTime: start + (times[index] ?? 0) })));
        await trimAll(store, start + 5, start);
        expect(await boundsOf(store, userFeed("t"))).toMatchObject({ tail: 1 });
        expect(await seqs(store, userFeed("t"))).toEqual(expect.arrayContaining([1, 3, 5, 6, 7]));
      });
    });

    test("keeps younger messages before a single one with an old timestamp", async () => {
      await bench.alone(1000, async ({ store }) => {
        const times = Array.from({ length: 40 }, (_, index) => (index < 3 || index === 30 ? 1 : start));
        await store.append(messages("t", times.length, (index) => ({ publishTime: times[index] ?? 0 })));
        await trimAll(store, start, start);
        const kept = await seqs(store, userFeed("t"));
        expect(kept.filter((seq) => seq !== 31)).toEqual(upTo(40, 4).filter((seq) => seq !== 31));
        expect(await boundsOf(store, userFeed("t"))).toMatchObject({ seq: 40, tail: 4 });
        expect(await trimAll(store, start, start)).toBe(0);
        await trimAll(store, start + 1, start);
        expect(await boundsOf(store, userFeed("t"))).toMatchObject({ seq: 40, tail: 41 });
      });
    });

    test("frees the keys of the messages that it removes, recalled ones included", async () => {
      await bench.alone(1000, async ({ store }) => {
        const batch = messages("t", 2, (index) => ({ key: `k${index}`, digest: "d" }));
        await store.append(batch);
        await store.recall("t", [batch[0]?.id ?? ""]);
        await trimAll(store, start + 1, start);
        const again = messages("t", 2, (index) => ({ key: `k${index}`, digest: "e", publishTime: start + 1 }));
        expect((await store.append(again)).map(({ outcome }) => outcome)).toEqual(["stored", "stored"]);
      });
    });
  });

  describe("of expired messages", () => {
    test("leaves the tail alone, because no reader misses them", async () => {
      await bench.alone(1000, async ({ store }) => {
        await store.append(messages("t", 6, (index) => (index % 2 === 0 ? { expireTime: start + 10 } : {})));
        expect(await trimAll(store, 0, start + 9)).toBe(0);
        expect(await trimAll(store, 0, start + 10)).toBe(3);
        expect(await seqs(store, userFeed("t"))).toEqual([2, 4, 6]);
        expect(await boundsOf(store, userFeed("t"))).toMatchObject({ seq: 6, tail: 1 });
      });
    });

    test("continues the seqs of a feed whose last message has expired", async () => {
      await bench.alone(1000, async ({ store }) => {
        await store.append(messages("t", 2, () => ({ expireTime: start + 10 })));
        await trimAll(store, 0, start + 10);
        expect(await boundsOf(store, userFeed("t"))).toMatchObject({ seq: 2, tail: 1 });
        expect(await appendOne(store, message("t"))).toBe(3);
      });
    });

    test("counts a message once that is also too old", async () => {
      await bench.alone(1000, async ({ store }) => {
        await store.append(messages("t", 5, () => ({ expireTime: start + 10 })));
        expect(await trimAll(store, start + 20, start + 20)).toBe(5);
      });
    });
  });
}

async function seqs(store: Store, feed: FeedKey): Promise<number[]> {
  return (await readAll(store, feed)).map(({ seq }) => seq);
}

async function boundsOf(store: Store, feed: FeedKey): Promise<FeedBounds> {
  const [bounds] = await store.bounds([feed]);
  if (!bounds) throw new Error("the store returned no bounds");
  return bounds;
}

async function trimAll(store: Store, before: number, now: number): Promise<number> {
  let sum = 0;
  for (let went = await store.trim(before, now); went > 0; went = await store.trim(before, now)) sum += went;
  return sum;
}
