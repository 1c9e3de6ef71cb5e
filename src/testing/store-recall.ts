import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { appendOne, message, messages, never, readAll, selection, start, upTo, userFeed } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** A recalled message is in no result, and its seq is not used again. */
export function recallLaw(bench: StoreBench): void {
  test("removes a message from every feed and every result", async () => {
    const tenant = bench.tenant();
    const feeds = ["user/ann", "user/bob", "tenant"];
    const keys = feeds.map((name) => ({ tenant, name }));
    const [gone, kept] = [message(tenant, { feeds, category: "x" }), message(tenant, { feeds })];
    await bench.store.append([gone, kept]);
    await bench.store.recall(tenant, [gone.id]);
    for (const feed of keys) {
      expect((await readAll(bench.store, feed)).map(({ id }) => id)).toEqual([kept.id]);
      expect((await bench.store.select(selection(feed))).map(({ id }) => id)).toEqual([kept.id]);
    }
    const asked = keys.map((feed) => ({ feed, ranges: [[1, 9]] as const }));
    expect([...(await bench.store.countNotifications(asked, start)).byCategory]).toEqual([["", 3]]);
    expect(await bench.store.find(keys, [gone.id])).toEqual([]);
  });

  test("returns the locations of the messages, each once", async () => {
    const tenant = bench.tenant();
    await bench.store.append([message(tenant, { feeds: ["tenant"] })]);
    const gone = message(tenant, { feeds: ["user/ann", "tenant"], kind: 2, category: "x", expireTime: start + 50 });
    await bench.store.append([gone]);
    const location = { id: gone.id, again: false };
    const locations = await bench.store.recall(tenant, [gone.id, gone.id, gone.id.toUpperCase()]);
    expect(locations).toHaveLength(2);
    expect(locations).toContainEqual({ ...location, feed: userFeed(tenant), seq: 1 });
    expect(locations).toContainEqual({ ...location, feed: { tenant, name: "tenant" }, seq: 2 });
  });

  test("returns the same locations when it is repeated, marked as such, because the first result may have been lost", async () => {
    const tenant = bench.tenant();
    const [wide, single, last] = [
      message(tenant, { feeds: ["user/ann", "tenant"], key: "k", digest: "d" }),
      message(tenant, { expireTime: start + 50 }),
      message(tenant),
    ];
    await bench.store.append([wide, single, last]);
    const recall = async (...ids: string[]) => {
      const locations = await bench.store.recall(tenant, ids);
      return locations.map(({ id, feed, seq, again }) => `${id} ${feed.name} ${seq} ${again}`).sort();
    };
    const wideAt = (again: boolean) => [`${wide.id} tenant 1 ${again}`, `${wide.id} user/ann 1 ${again}`];
    expect(await recall(wide.id)).toEqual(wideAt(false));
    expect(await recall(wide.id)).toEqual(wideAt(true));
    const both = [`${last.id} user/ann 3 false`, `${single.id} user/ann 2 false`];
    expect(await recall(last.id, wide.id, single.id)).toEqual([...wideAt(true), ...both].sort());
    await bench.store.append(messages(tenant, 2));
    expect(await recall(last.id)).toEqual([`${last.id} user/ann 3 true`]);
    expect(await readAll(bench.store, userFeed(tenant))).toHaveLength(2);
  });

  test("returns no locations of messages that have expired since the first call", async () => {
    await bench.alone(1000, async ({ store }) => {
      const batch = [message("t", { expireTime: start + 10 }), message("t", { key: "k", digest: "d" })];
      const ids = batch.map(({ id }) => id);
      await store.append([...batch, message("t")]);
      expect(await store.recall("t", ids)).toHaveLength(2);
      while ((await store.trim(0, start + 10)) > 0);
      expect(await store.recall("t", ids)).toMatchObject([{ id: ids[1], again: true }]);
    });
  });

  test("takes ids in upper case", async () => {
    const tenant = bench.tenant();
    const gone = message(tenant);
    await bench.store.append([gone]);
    expect(await bench.store.recall(tenant, [gone.id.toUpperCase()])).toMatchObject([{ id: gone.id }]);
  });

  test("ignores ids of another tenant's messages, and ids that are malformed", async () => {
    const [ours, theirs] = [bench.tenant(), bench.tenant()];
    const foreign = message(theirs);
    await bench.store.append([foreign, message(ours)]);
    expect(await bench.store.recall(ours, [foreign.id, randomUUID(), "", "x", `${foreign.id}0`, "%"])).toEqual([]);
    expect(await readAll(bench.store, userFeed(theirs))).toHaveLength(1);
  });

  test("does not free the seqs of the last messages", async () => {
    const tenant = bench.tenant();
    const batch = messages(tenant, 3);
    await bench.store.append(batch);
    for (const { id } of batch.toReversed()) await bench.store.recall(tenant, [id]);
    expect(await bench.store.bounds([userFeed(tenant)])).toMatchObject([{ seq: 3, tail: 1 }]);
    expect(await appendOne(bench.store, message(tenant))).toBe(4);
    expect((await readAll(bench.store, userFeed(tenant))).map(({ seq }) => seq)).toEqual([4]);
  });

  test("leaves nothing to count or to list of a feed's only message", async () => {
    const tenant = bench.tenant();
    const last = message(tenant, { actorId: "a", objectType: "t", objectId: "o", category: "c" });
    await bench.store.append([last]);
    await bench.store.recall(tenant, [last.id]);
    const feed = userFeed(tenant);
    expect(await bench.store.select(selection(feed, { actorId: "a" }))).toEqual([]);
    expect(await bench.store.select(selection(feed, { objectType: "t", objectId: "o" }))).toEqual([]);
    const counted = await bench.store.countNotifications([{ feed, ranges: [[1, 9]] }], start);
    expect([...counted.byCategory]).toEqual([]);
    expect(counted.nextExpiry).toBe(never);
  });

  test("returns no locations of messages that retention has removed", async () => {
    await bench.alone(5, async ({ store }) => {
      const batch = messages("t", 8);
      await store.append(batch);
      const locations = await store.recall(
        "t",
        batch.map(({ id }) => id),
      );
      expect(locations.map(({ seq }) => seq)).toEqual(upTo(8, 4));
      await store.append(messages("t", 3));
      const again = await store.recall(
        "t",
        batch.map(({ id }) => id),
      );
      expect(again.map(({ seq }) => seq)).toEqual(upTo(8, 7));
    });
  });
}
