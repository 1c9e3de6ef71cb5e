import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { appendOne, message, messages, never, readAll, selection, start, upTo, userFeed } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** A recalled message is nowhere, and its number is not given again. */
export function recallLaw(bench: StoreBench): void {
  describe("recall", () => {
    test("takes a message out of every feed and every answer", async () => {
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

    test("answers where the messages lay, each place once", async () => {
      const tenant = bench.tenant();
      await bench.store.append([message(tenant, { feeds: ["tenant"] })]);
      const gone = message(tenant, { feeds: ["user/ann", "tenant"], kind: 2, category: "x", expireTime: start + 50 });
      await bench.store.append([gone]);
      const place = { id: gone.id, again: false };
      const places = await bench.store.recall(tenant, [gone.id, gone.id, gone.id.toUpperCase()]);
      expect(places).toHaveLength(2);
      expect(places).toContainEqual({ ...place, feed: userFeed(tenant), seq: 1 });
      expect(places).toContainEqual({ ...place, feed: { tenant, name: "tenant" }, seq: 2 });
    });

    test("repeated answers the same places, and says so: the first answer may have been lost", async () => {
      const tenant = bench.tenant();
      const [wide, single, last] = [
        message(tenant, { feeds: ["user/ann", "tenant"], key: "k", digest: "d" }),
        message(tenant, { expireTime: start + 50 }),
        message(tenant),
      ];
      await bench.store.append([wide, single, last]);
      const recall = async (...ids: string[]) => {
        const places = await bench.store.recall(tenant, ids);
        return places.map(({ id, feed, seq, again }) => `${id} ${feed.name} ${seq} ${again}`).sort();
      };
      const told = (again: boolean) => [`${wide.id} tenant 1 ${again}`, `${wide.id} user/ann 1 ${again}`];
      expect(await recall(wide.id)).toEqual(told(false));
      expect(await recall(wide.id)).toEqual(told(true));
      const both = [`${last.id} user/ann 3 false`, `${single.id} user/ann 2 false`];
      expect(await recall(last.id, wide.id, single.id)).toEqual([...told(true), ...both].sort());
      await bench.store.append(messages(tenant, 2));
      expect(await recall(last.id)).toEqual([`${last.id} user/ann 3 true`]);
      expect(await readAll(bench.store, userFeed(tenant))).toHaveLength(2);
    });

    test("repeated answers nothing of what has expired since", async () => {
      await bench.alone(1000, async ({ store }) => {
        const batch = [message("t", { expireTime: start + 10 }), message("t", { key: "k", digest: "d" })];
        const ids = batch.map(({ id }) => id);
        await store.append([...batch, message("t")]);
        expect(await store.recall("t", ids)).toHaveLength(2);
        while ((await store.trim(0, start + 10)) > 0);
        expect(await store.recall("t", ids)).toMatchObject([{ id: ids[1], again: true }]);
      });
    });

    test("names messages by their ids, however the caller spelt them", async () => {
      const tenant = bench.tenant();
      const gone = message(tenant);
      await bench.store.append([gone]);
      expect(await bench.store.recall(tenant, [gone.id.toUpperCase()])).toMatchObject([{ id: gone.id }]);
    });

    test("does not touch another tenant's message, nor ids that are none", async () => {
      const [ours, theirs] = [bench.tenant(), bench.tenant()];
      const foreign = message(theirs);
      await bench.store.append([foreign, message(ours)]);
      expect(await bench.store.recall(ours, [foreign.id, randomUUID(), "", "x", `${foreign.id}0`, "%"])).toEqual([]);
      expect(await readAll(bench.store, userFeed(theirs))).toHaveLength(1);
    });

    test("goes on numbering after the last message was taken back", async () => {
      const tenant = bench.tenant();
      const batch = messages(tenant, 3);
      await bench.store.append(batch);
      for (const { id } of batch.toReversed()) await bench.store.recall(tenant, [id]);
      expect(await bench.store.bounds([userFeed(tenant)])).toMatchObject([{ seq: 3, tail: 1 }]);
      expect(await appendOne(bench.store, message(tenant))).toBe(4);
      expect((await readAll(bench.store, userFeed(tenant))).map(({ seq }) => seq)).toEqual([4]);
    });

    test("of a feed's last message leaves nothing to count or to list", async () => {
      const tenant = bench.tenant();
      const last = message(tenant, { actorId: "a", objectType: "t", objectId: "o", category: "c" });
      await bench.store.append([last]);
      await bench.store.recall(tenant, [last.id]);
      const feed = userFeed(tenant);
      expect(await bench.store.select(selection(feed, { actorId: "a" }))).toEqual([]);
      expect(await bench.store.select(selection(feed, { objectType: "t", objectId: "o" }))).toEqual([]);
      const tally = await bench.store.countNotifications([{ feed, ranges: [[1, 9]] }], start);
      expect([...tally.byCategory]).toEqual([]);
      expect(tally.nextExpiry).toBe(never);
    });

    test("of what retention has dropped answers nothing", async () => {
      await bench.alone(5, async ({ store }) => {
        const batch = messages("t", 8);
        await store.append(batch);
        const places = await store.recall(
          "t",
          batch.map(({ id }) => id),
        );
        expect(places.map(({ seq }) => seq)).toEqual(upTo(8, 4));
        await store.append(messages("t", 3));
        const again = await store.recall(
          "t",
          batch.map(({ id }) => id),
        );
        expect(again.map(({ seq }) => seq)).toEqual(upTo(8, 7));
      });
    });
  });
}
