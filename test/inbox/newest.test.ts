import fc from "fast-check";
import { expect, test } from "vitest";
import { mergeNewest, NewestOfFeed } from "../../src/inbox/newest.ts";
import { selectAll } from "../../src/inbox/selection.ts";
import type { Entry, Selection, Store } from "../../src/ports/store.ts";

interface Given {
  readonly time: number;
  readonly bytes: number;
}

/** A store with the messages of feeds 0, 1, …, which remembers the bytes that were read of it. */
class FakeStore {
  readonly #feeds: readonly (readonly Given[])[];
  read = 0;
  calls = 0;

  constructor(feeds: readonly (readonly Given[])[]) {
    this.#feeds = feeds;
  }

  async select({ feed, ranges, limit }: Selection): Promise<Entry[]> {
    this.calls++;
    const entries = (this.#feeds[Number(feed.name)] ?? [])
      .map(({ time, bytes }, index) => ({ seq: index + 1, publishTime: time, body: new Uint8Array(bytes) }))
      .filter(({ seq }) => ranges.some(([from, to]) => seq >= from && seq <= to))
      .toReversed()
      .slice(0, limit);
    for (const { body } of entries) this.read += body.length;
    return entries as unknown as Entry[];
  }

  async bounds(): Promise<{ tail: number }[]> {
    return [{ tail: 1 }];
  }

  merge(limit: number, maxBytes: number) {
    const feeds = this.#feeds.map((messages, index) => {
      const feed = { name: `${index}`, key: { tenant: "t", name: `${index}` } };
      const from = { feed, ranges: [[1, messages.length]] as const, before: messages.length + 1 };
      return new NewestOfFeed(this as unknown as Store, from, selectAll(feed, from.ranges, 0));
    });
    return mergeNewest(feeds, limit, maxBytes);
  }
}

const givenFeeds = fc.array(
  fc
    .array(fc.record({ time: fc.nat(50), bytes: fc.nat(300) }), { maxLength: 60 })
    .map((messages) => messages.toSorted((a, b) => a.time - b.time)),
  { maxLength: 20 },
);

test("mergeNewest returns the newest messages of all feeds, up to the limit, or one beyond the bytes", async () => {
  await fc.assert(
    fc.asyncProperty(givenFeeds, fc.integer({ min: 1, max: 100 }), fc.nat(5_000), async (feeds, limit, maxBytes) => {
      const { found, hasMore } = await new FakeStore(feeds).merge(limit, maxBytes);
      const times = found.map(({ entry }) => entry.publishTime);
      const all = feeds.flat().map(({ time }) => time);
      expect(times).toEqual(all.toSorted((a, b) => b - a).slice(0, times.length));
      expect(hasMore).toBe(times.length < all.length);
      const sizes = found.map(({ entry }) => entry.body.length);
      const bytes = sizes.reduce((sum, each) => sum + each, 0);
      expect(found.length === limit || !hasMore || bytes > maxBytes).toBe(true);
      expect(bytes - (sizes.at(-1) ?? 0)).toBeLessThanOrEqual(maxBytes);
      for (const index of feeds.keys()) {
        const seqs = found.filter(({ feed }) => feed.name === `${index}`).map(({ entry }) => entry.seq);
        expect(seqs).toEqual(seqs.toSorted((a, b) => b - a));
      }
    }),
  );
});

test("mergeNewest reads little more than a page of large messages may hold, of one feed and of many", async () => {
  const messages = (count: number, bytes: number) => Array.from({ length: count }, (_, time) => ({ time, bytes }));
  const one = new FakeStore([messages(100, 64_000)]);
  expect((await one.merge(100, 1_048_576)).found).toHaveLength(17);
  expect(one.read).toBeLessThan(1.5 * 1_048_576);
  const many = new FakeStore(Array.from({ length: 260 }, () => messages(11, 64_000)));
  await many.merge(10, 1_048_576);
  expect(many.read).toBeLessThanOrEqual(262 * 2 * 64_000);
});

test("mergeNewest reads a default page of small messages by one call for each feed", async () => {
  const messages = Array.from({ length: 50 }, (_, time) => ({ time, bytes: 200 }));
  const store = new FakeStore([messages, messages, messages, messages]);
  expect((await store.merge(15, 1_048_576)).found).toHaveLength(15);
  expect(store.calls).toBe(4);
});
