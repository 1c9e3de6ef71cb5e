import { describe, expect, test } from "vitest";
import type { Append, FeedKey, MessageLocation, Store } from "../ports/store.ts";
import { message, messages, readAll, selection, start, stored, upTo, userFeed } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** Under a key, `replace` takes the old message back as a recall does, and stores the new one as any other. */
export function replaceLaw(bench: StoreBench): void {
  const keyed = (tenant: string, overrides: Partial<Append> = {}) =>
    message(tenant, { key: "k", digest: "d", ...overrides });
  const resent = (tenant: string, overrides: Partial<Append> = {}) => keyed(tenant, { replace: true, ...overrides });

  describe("replace", () => {
    test("takes the old message's place under the key, whatever their content, and tells where it lay", async () => {
      const tenant = bench.tenant();
      const [old, between, next] = [
        keyed(tenant, { category: "x", expireTime: start + 50 }),
        message(tenant),
        resent(tenant, { digest: "e" }),
      ];
      await bench.store.append([old, between]);
      const [answer] = await bench.store.append([next]);
      const place = { id: old.id, feed: userFeed(tenant), seq: 1, kind: 1, category: "x", expireTime: start + 50 };
      expect(answer).toMatchObject({ outcome: "stored", id: next.id, publishTime: start, seqs: [3] });
      expect(stored(answer).replaced).toEqual([place]);
      expect(await ids(bench.store, userFeed(tenant))).toEqual([between.id, next.id]);
      expect(await bench.store.find([userFeed(tenant)], [old.id])).toEqual([]);
      expect(await bench.store.recall(tenant, [old.id])).toEqual([]);
      expect(await bench.store.append([keyed(tenant, { digest: "e" }), keyed(tenant)])).toMatchObject([
        { outcome: "duplicate", id: next.id },
        { outcome: "conflict" },
      ]);
    });

    test("without an old message stores, and says that none was there", async () => {
      const tenant = bench.tenant();
      const first = resent(tenant);
      const [answer] = await bench.store.append([first]);
      expect(answer).toMatchObject({ outcome: "stored", id: first.id, seqs: [1] });
      expect(stored(answer).replaced ?? []).toEqual([]);
      expect(await bench.store.append([keyed(tenant)])).toMatchObject([{ outcome: "duplicate", id: first.id }]);
    });

    test("brings back what was recalled, as new", async () => {
      const tenant = bench.tenant();
      const old = keyed(tenant);
      await bench.store.append([old, message(tenant)]);
      await bench.store.recall(tenant, [old.id]);
      const next = resent(tenant);
      const [answer] = await bench.store.append([next]);
      expect(stored(answer)).toMatchObject({ id: next.id, seqs: [3] });
      expect(stored(answer).replaced).toEqual([]);
      expect((await ids(bench.store, userFeed(tenant))).at(-1)).toBe(next.id);
    });

    test("of what has expired stores the new one alone", async () => {
      const tenant = bench.tenant();
      const old = keyed(tenant, { expireTime: start + 10 });
      await bench.store.append([old]);
      const next = resent(tenant, { publishTime: start + 20, expireTime: start + 99 });
      expect(await bench.store.append([next])).toMatchObject([{ outcome: "stored", id: next.id }]);
      expect(await ids(bench.store, userFeed(tenant), start)).toEqual([next.id]);
      expect(await bench.store.append([keyed(tenant, { publishTime: start + 21 })])).toMatchObject([
        { outcome: "duplicate", id: next.id },
      ]);
    });

    test("goes to another audience, and is gone from the old one", async () => {
      const tenant = bench.tenant();
      const feeds = ["user/ann", "user/bob", "user/cyd", "tenant"].map((name) => ({ tenant, name })) as [
        FeedKey,
        FeedKey,
        FeedKey,
        FeedKey,
      ];
      const old = keyed(tenant, { feeds: ["user/ann", "user/bob"] });
      const next = resent(tenant, { feeds: ["user/bob", "user/cyd"] });
      const last = resent(tenant, { feeds: ["tenant"] });
      await bench.store.append([old]);
      expect(places(await bench.store.append([next]))).toEqual(["user/ann 1", "user/bob 1"]);
      expect(await Promise.all(feeds.map((feed) => ids(bench.store, feed)))).toEqual([[], [next.id], [next.id], []]);
      expect(places(await bench.store.append([last]))).toEqual(["user/bob 2", "user/cyd 1"]);
      expect(await Promise.all(feeds.map((feed) => ids(bench.store, feed)))).toEqual([[], [], [], [last.id]]);
      const tally = await bench.store.countNotifications(
        feeds.map((feed) => ({ feed, ranges: [[1, 9]] as const })),
        start,
      );
      expect([...tally.byCategory]).toEqual([["", 1]]);
    });

    test("of a key without feeds takes its place, and is replaced by one with feeds", async () => {
      const tenant = bench.tenant();
      const [live, next, again] = [keyed(tenant, { feeds: [] }), resent(tenant), resent(tenant, { feeds: [] })];
      await bench.store.append([live]);
      expect(await bench.store.append([next])).toMatchObject([{ outcome: "stored", seqs: [1] }]);
      expect(places(await bench.store.append([again]))).toEqual(["user/ann 1"]);
      expect(await ids(bench.store, userFeed(tenant))).toEqual([]);
      expect(await bench.store.append([keyed(tenant)])).toMatchObject([{ outcome: "duplicate", id: again.id }]);
    });

    test("twice within one call leaves the last one, and tells of the first", async () => {
      const tenant = bench.tenant();
      const [old, one, two, other] = [keyed(tenant), resent(tenant), resent(tenant), message(tenant)];
      await bench.store.append([old]);
      const answers = await bench.store.append([one, other, two]);
      expect(answers.map(({ outcome }) => outcome)).toEqual(["stored", "stored", "stored"]);
      expect(answers.map((answer) => stored(answer).replaced?.map(({ id }) => id) ?? [])).toEqual([
        [old.id],
        [],
        [one.id],
      ]);
      expect(await ids(bench.store, userFeed(tenant))).toEqual([other.id, two.id]);
    });

    test("by 50 at once leaves exactly one, and every other one is told of once", async () => {
      const tenant = bench.tenant();
      const racers = messages(tenant, 50, () => ({ key: "k", digest: "d", replace: true }));
      const answers = (await Promise.all(racers.map((racer) => bench.store.append([racer])))).flat().map(stored);
      const left = await ids(bench.store, userFeed(tenant));
      expect(left).toHaveLength(1);
      const gone = answers.flatMap(({ replaced = [] }) => replaced.map(({ id }) => id));
      expect(gone.sort()).toEqual(
        racers
          .map(({ id }) => id)
          .filter((id) => id !== left[0])
          .sort(),
      );
      expect(answers.map(({ seqs }) => seqs[0]).sort((a = 0, b = 0) => a - b)).toEqual(upTo(50));
    });

    test("does not touch the same key of another tenant, nor other keys", async () => {
      const [ours, theirs] = [bench.tenant(), bench.tenant()];
      const kept = [keyed(theirs), keyed(theirs, { key: "K" })];
      await bench.store.append([...kept, keyed(ours, { key: "other" })]);
      expect(places(await bench.store.append([resent(ours)]))).toEqual([]);
      expect(await ids(bench.store, userFeed(theirs))).toEqual(kept.map(({ id }) => id));
      expect(await ids(bench.store, userFeed(ours))).toHaveLength(2);
    });

    test("of what retention has dropped stores, and tells of no place", async () => {
      await bench.alone(3, async ({ store }) => {
        await store.append([keyed("t"), ...messages("t", 3)]);
        const next = resent("t");
        expect(places(await store.append([next]))).toEqual([]);
        expect((await ids(store, userFeed("t"))).at(-1)).toBe(next.id);
      });
    });

    test("leaves nothing of the old message in any question", async () => {
      const tenant = bench.tenant();
      const facets = { actorId: "a", objectType: "t", objectId: "o", category: "c", batchId: "b" };
      await bench.store.append([keyed(tenant, facets)]);
      const next = resent(tenant, facets);
      await bench.store.append([next]);
      for (const filter of [{ actorId: "a" }, { objectType: "t", objectId: "o" }, { batchId: "b" }]) {
        const found = await bench.store.select(selection(userFeed(tenant), filter));
        expect(found.map(({ id }) => id)).toEqual([next.id]);
      }
      const { entries } = await bench.store.batch(tenant, "b", "", 10, start);
      expect(entries.map(({ id }) => id)).toEqual([next.id]);
    });

    test("is what the key holds after the store was opened again", async ({ skip }) => {
      await bench.alone(100, async (opened) => {
        if (!opened.reopen) return skip("nothing outlives this store");
        const [old, next] = [keyed("t", { batchId: "b" }), resent("t", { digest: "e", batchId: "b" })];
        await opened.store.append([old]);
        await opened.store.append([next]);
        const { store } = await opened.reopen();
        expect(await ids(store, userFeed("t"))).toEqual([next.id]);
        expect(await store.append([keyed("t", { digest: "e" }), keyed("t")])).toMatchObject([
          { outcome: "duplicate", id: next.id },
          { outcome: "conflict" },
        ]);
        const last = resent("t", { batchId: "b" });
        expect(places(await store.append([last]))).toEqual(["user/ann 2"]);
        expect(stored((await store.append([message("t")]))[0]).seqs).toEqual([4]);
        expect((await store.batch("t", "b", "", 10, start)).entries.map(({ id }) => id)).toEqual([last.id]);
      });
    });
  });
}

async function ids(store: Store, feed: FeedKey, now = start): Promise<string[]> {
  return (await readAll(store, feed, now)).map(({ id }) => id);
}

/** Where the message lay that the only one took the place of. */
function places(answers: Awaited<ReturnType<Store["append"]>>): string[] {
  const replaced: readonly MessageLocation[] = stored(answers[0]).replaced ?? [];
  return replaced.map(({ feed, seq }) => `${feed.name} ${seq}`).sort();
}
