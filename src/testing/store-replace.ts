import { expect, test } from "vitest";
import type { Append, FeedKey, MessageLocation, Store } from "../ports/store.ts";
import { message, messages, readAll, selection, start, stored, upTo, userFeed } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** `replace` recalls the message that holds the key, and stores the new one under it. */
export function replaceLaw(bench: StoreBench): void {
  const keyed = (tenant: string, overrides: Partial<Append> = {}) =>
    message(tenant, { key: "k", digest: "d", ...overrides });
  const resent = (tenant: string, overrides: Partial<Append> = {}) => keyed(tenant, { replace: true, ...overrides });

  test("stores a message under the key of an old one, whatever their content, and returns the old one's locations", async () => {
    const tenant = bench.tenant();
    const [old, between, next] = [
      keyed(tenant, { category: "x", expireTime: start + 50 }),
      message(tenant),
      resent(tenant, { digest: "e" }),
    ];
    await bench.store.append([old, between]);
    const [answer] = await bench.store.append([next]);
    const location = { id: old.id, feed: userFeed(tenant), seq: 1, kind: 1, category: "x", expireTime: start + 50 };
    expect(answer).toMatchObject({ outcome: "stored", id: next.id, publishTime: start, seqs: [3] });
    expect(stored(answer).replaced).toEqual([location]);
    expect(await ids(bench.store, userFeed(tenant))).toEqual([between.id, next.id]);
    expect(await bench.store.find([userFeed(tenant)], [old.id])).toEqual([]);
    expect(await bench.store.recall(tenant, [old.id])).toEqual([]);
    expect(await bench.store.append([keyed(tenant, { digest: "e" }), keyed(tenant)])).toMatchObject([
      { outcome: "duplicate", id: next.id },
      { outcome: "conflict" },
    ]);
  });

  test("stores a message whose key is free, and returns no locations", async () => {
    const tenant = bench.tenant();
    const first = resent(tenant);
    const [answer] = await bench.store.append([first]);
    expect(answer).toMatchObject({ outcome: "stored", id: first.id, seqs: [1] });
    expect(stored(answer).replaced ?? []).toEqual([]);
    expect(await bench.store.append([keyed(tenant)])).toMatchObject([{ outcome: "duplicate", id: first.id }]);
  });

  test("stores a message again that was recalled, with a new seq", async () => {
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

  test("stores the new message when the old one has expired", async () => {
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

  test("moves a message to other feeds", async () => {
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
    expect(locationsOf(await bench.store.append([next]))).toEqual(["user/ann 1", "user/bob 1"]);
    expect(await Promise.all(feeds.map((feed) => ids(bench.store, feed)))).toEqual([[], [next.id], [next.id], []]);
    expect(locationsOf(await bench.store.append([last]))).toEqual(["user/bob 2", "user/cyd 1"]);
    expect(await Promise.all(feeds.map((feed) => ids(bench.store, feed)))).toEqual([[], [], [], [last.id]]);
    const counted = await bench.store.countNotifications(
      feeds.map((feed) => ({ feed, ranges: [[1, 9]] as const })),
      start,
    );
    expect([...counted.byCategory]).toEqual([["", 1]]);
  });

  test("takes over the key of a message without feeds, and the other way round", async () => {
    const tenant = bench.tenant();
    const [live, next, again] = [keyed(tenant, { feeds: [] }), resent(tenant), resent(tenant, { feeds: [] })];
    await bench.store.append([live]);
    expect(await bench.store.append([next])).toMatchObject([{ outcome: "stored", seqs: [1] }]);
    expect(locationsOf(await bench.store.append([again]))).toEqual(["user/ann 1"]);
    expect(await ids(bench.store, userFeed(tenant))).toEqual([]);
    expect(await bench.store.append([keyed(tenant)])).toMatchObject([{ outcome: "duplicate", id: again.id }]);
  });

  test("leaves the last message of several under one key in a call, and returns the locations of the others", async () => {
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

  test("leaves exactly one message of 50 concurrent callers, and returns the locations of each other one once", async () => {
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

  test("leaves the same key of another tenant alone, and other keys", async () => {
    const [ours, theirs] = [bench.tenant(), bench.tenant()];
    const kept = [keyed(theirs), keyed(theirs, { key: "K" })];
    await bench.store.append([...kept, keyed(ours, { key: "other" })]);
    expect(locationsOf(await bench.store.append([resent(ours)]))).toEqual([]);
    expect(await ids(bench.store, userFeed(theirs))).toEqual(kept.map(({ id }) => id));
    expect(await ids(bench.store, userFeed(ours))).toHaveLength(2);
  });

  test("returns no locations of a message that retention has removed", async () => {
    await bench.alone(3, async ({ store }) => {
      await store.append([keyed("t"), ...messages("t", 3)]);
      const next = resent("t");
      expect(locationsOf(await store.append([next]))).toEqual([]);
      expect((await ids(store, userFeed("t"))).at(-1)).toBe(next.id);
    });
  });

  test("leaves the old message in no result", async () => {
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

  test("is kept when the store is closed and opened again", async ({ skip }) => {
    await bench.alone(100, async (opened) => {
      if (!opened.reopen) return skip("this store cannot be opened again");
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
      expect(locationsOf(await store.append([last]))).toEqual(["user/ann 2"]);
      expect(stored((await store.append([message("t")]))[0]).seqs).toEqual([4]);
      expect((await store.batch("t", "b", "", 10, start)).entries.map(({ id }) => id)).toEqual([last.id]);
    });
  });
}

async function ids(store: Store, feed: FeedKey, now = start): Promise<string[]> {
  return (await readAll(store, feed, now)).map(({ id }) => id);
}

/** The locations of the message that the only message of a call has replaced. */
function locationsOf(answers: Awaited<ReturnType<Store["append"]>>): string[] {
  const replaced: readonly MessageLocation[] = stored(answers[0]).replaced ?? [];
  return replaced.map(({ feed, seq }) => `${feed.name} ${seq}`).sort();
}
