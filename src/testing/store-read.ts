import { expect, test } from "vitest";
import { endless, message, messages, readAll, start, upTo, userFeed } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** Slices are in order, bounded, and complete up to `through`. */
export function readLaw(bench: StoreBench): void {
  async function filled(count: number): Promise<string> {
    const tenant = bench.tenant();
    await bench.store.append(messages(tenant, count));
    return tenant;
  }

  test("returns the entries after one seq up to another, oldest first", async () => {
    const feed = userFeed(await filled(10));
    const { entries, through, bounds } = await bench.store.read(feed, 3, 7, 100, start);
    expect(entries.map(({ seq }) => seq)).toEqual([4, 5, 6, 7]);
    expect(through).toBe(7);
    expect(bounds).toMatchObject({ seq: 10, tail: 1 });
    expect(entries.every(({ epoch }) => epoch === bounds.epoch)).toBe(true);
  });

  test("stops at its limit, and returns the seq up to which it is complete", async () => {
    const feed = userFeed(await filled(10));
    const { entries, through } = await bench.store.read(feed, 2, endless, 3, start);
    expect(entries.map(({ seq }) => seq)).toEqual([3, 4, 5]);
    expect(through).toBe(5);
  });

  test("is complete up to the end when the limit is just reached", async () => {
    const feed = userFeed(await filled(10));
    expect((await bench.store.read(feed, 7, endless, 3, start)).through).toBe(10);
  });

  test("does not advance with a limit of 0", async () => {
    const feed = userFeed(await filled(10));
    expect(await bench.store.read(feed, 4, endless, 0, start)).toMatchObject({ entries: [], through: 4 });
  });

  test("never returns a `through` beyond the end of the feed or before the reader's position", async () => {
    const feed = userFeed(await filled(10));
    expect(await bench.store.read(feed, 10, endless, 5, start)).toMatchObject({ entries: [], through: 10 });
    expect(await bench.store.read(feed, 8, 5, 5, start)).toMatchObject({ entries: [], through: 8 });
    const unknown = await bench.store.read(userFeed(bench.tenant()), 0, endless, 5, start);
    expect(unknown).toMatchObject({ bounds: { seq: 0, tail: 1 }, entries: [], through: 0 });
  });

  test("goes through a feed page by page without skipping or repeating an entry", async () => {
    const feed = userFeed(await filled(257));
    for (const limit of [1, 7, 64, 1000]) {
      expect((await readAll(bench.store, feed, start, limit)).map(({ seq }) => seq)).toEqual(upTo(257));
    }
  });

  test("bounds a page by bytes, and still advances", async () => {
    const tenant = bench.tenant();
    const body = new Uint8Array(60_000).fill(1);
    await bench.store.append(messages(tenant, 60, () => ({ body })));
    const { entries, through } = await bench.store.read(userFeed(tenant), 0, endless, 60, start);
    expect(entries.length).toBeGreaterThan(0);
    expect(entries.length).toBeLessThan(60);
    expect(through).toBe(entries.at(-1)?.seq);
    expect(await readAll(bench.store, userFeed(tenant), start, 60)).toHaveLength(60);
  });

  test("leaves out a message from its expire time on", async () => {
    const tenant = bench.tenant();
    await bench.store.append([message(tenant, { expireTime: start + 100 }), message(tenant)]);
    const seqs = async (now: number) => (await readAll(bench.store, userFeed(tenant), now)).map(({ seq }) => seq);
    expect(await seqs(start + 99)).toEqual([1, 2]);
    expect(await seqs(start + 100)).toEqual([2]);
  });

  test("is complete over entries that have expired or were recalled, at both ends", async () => {
    const tenant = bench.tenant();
    const batch = messages(tenant, 5, (index) => (index === 0 || index === 4 ? { expireTime: start + 1 } : {}));
    await bench.store.append(batch);
    await bench.store.recall(tenant, [batch[1]?.id ?? "", batch[3]?.id ?? ""]);
    const { entries, through } = await bench.store.read(userFeed(tenant), 0, endless, 100, start + 1);
    expect(entries.map(({ seq }) => seq)).toEqual([3]);
    expect(through).toBe(5);
  });

  test("does not count entries that it leaves out against the limit", async () => {
    const tenant = bench.tenant();
    await bench.store.append(messages(tenant, 10, (index) => (index < 8 ? { expireTime: start + 1 } : {})));
    const { entries } = await bench.store.read(userFeed(tenant), 0, endless, 2, start + 1);
    expect(entries.map(({ seq }) => seq)).toEqual([9, 10]);
  });
}
