import { expect, test } from "vitest";
import { keyLifetimeMs } from "../ports/store.ts";
import { message, messages, readAll, start, stored, userFeed } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** One key gives one message for as long as the message lives, and ten minutes at least. */
export function keyLaw(bench: StoreBench): void {
  test("makes a repetition a duplicate of the first message", async () => {
    const tenant = bench.tenant();
    const first = message(tenant, { key: "k", digest: "d" });
    await bench.store.append([first]);
    const again = message(tenant, { key: "k", digest: "d", publishTime: start + 5 });
    expect(await bench.store.append([again])).toMatchObject([
      { outcome: "duplicate", id: first.id, publishTime: start, seqs: [] },
    ]);
    expect(await readAll(bench.store, userFeed(tenant))).toHaveLength(1);
  });

  test("makes other content a conflict, and stores nothing of it", async () => {
    const tenant = bench.tenant();
    await bench.store.append([message(tenant, { key: "k", digest: "d" })]);
    const other = message(tenant, { key: "k", digest: "e", feeds: ["user/ann", "tenant"] });
    expect(await bench.store.append([other])).toEqual([{ outcome: "conflict" }]);
    expect((await bench.store.bounds([userFeed(tenant), { tenant, name: "tenant" }])).map(({ seq }) => seq)).toEqual([
      1, 0,
    ]);
    expect(await bench.store.find([userFeed(tenant)], [other.id])).toEqual([]);
  });

  test("stores exactly one message of 100 concurrent callers", async () => {
    const tenant = bench.tenant();
    const racers = messages(tenant, 100, () => ({ key: "k", digest: "d" }));
    const answers = (await Promise.all(racers.map((racer) => bench.store.append([racer])))).flat();
    const winners = answers.filter(({ outcome }) => outcome === "stored").map(stored);
    expect(winners).toHaveLength(1);
    const ids = answers.map((answer) => (answer.outcome === "conflict" ? "" : answer.id));
    expect(new Set(ids)).toEqual(new Set([winners[0]?.id]));
    expect((await readAll(bench.store, userFeed(tenant))).map(({ id }) => id)).toEqual([winners[0]?.id]);
  });

  test("is checked message by message within a call", async () => {
    const tenant = bench.tenant();
    const [first, again, other, free] = [
      message(tenant, { key: "k", digest: "d" }),
      message(tenant, { key: "k", digest: "d" }),
      message(tenant, { key: "k", digest: "e" }),
      message(tenant),
    ];
    const appended = await bench.store.append([first, again, other, free]);
    expect(appended.map(({ outcome }) => outcome)).toEqual(["stored", "duplicate", "conflict", "stored"]);
    expect((await readAll(bench.store, userFeed(tenant))).map(({ id }) => id)).toEqual([first.id, free.id]);
  });

  test.each([
    ["the message has expired", keyLifetimeMs + 100, keyLifetimeMs + 100],
    ["ten minutes have passed, where it expires before", 100, keyLifetimeMs],
  ])("is free again once %s, and not before", async (_, ttl, lasts) => {
    const tenant = bench.tenant();
    const keyed = (publishTime: number) =>
      message(tenant, { key: "k", digest: "d", publishTime, expireTime: publishTime + ttl });
    const times = [start, start + lasts - 1, start + lasts, start + lasts + 1];
    const [first, early, late, again] = times.map(keyed) as ReturnType<typeof keyed>[];
    if (!first || !early || !late || !again) throw new Error("no message");
    expect(await bench.store.append([first])).toMatchObject([{ outcome: "stored" }]);
    expect(await bench.store.append([early])).toMatchObject([{ outcome: "duplicate", id: first.id }]);
    expect(await bench.store.append([late])).toMatchObject([{ outcome: "stored", id: late.id }]);
    expect(await bench.store.append([again])).toMatchObject([{ outcome: "duplicate", id: late.id }]);
  });

  test("is not free at the publish time of a message whose key time is earlier", async () => {
    const tenant = bench.tenant();
    const first = message(tenant, { key: "k", digest: "d", publishTime: start, expireTime: start + 100 });
    const ahead = { ...first, publishTime: start + 10 * keyLifetimeMs, expireTime: start + 11 * keyLifetimeMs };
    const early = { ...ahead, id: message(tenant).id, keyTime: start + keyLifetimeMs - 1 };
    const late = { ...ahead, id: message(tenant).id, keyTime: start + keyLifetimeMs };
    expect(await bench.store.append([first])).toMatchObject([{ outcome: "stored" }]);
    expect(await bench.store.append([early])).toMatchObject([{ outcome: "duplicate", id: first.id }]);
    expect(await bench.store.append([late])).toMatchObject([{ outcome: "stored", id: late.id }]);
  });

  test("stays taken after its message was recalled", async () => {
    const tenant = bench.tenant();
    const first = message(tenant, { key: "k", digest: "d" });
    await bench.store.append([first]);
    await bench.store.recall(tenant, [first.id]);
    const again = [message(tenant, { key: "k", digest: "d" }), message(tenant, { key: "k", digest: "e" })];
    expect(await bench.store.append(again)).toMatchObject([
      { outcome: "duplicate", id: first.id },
      { outcome: "conflict" },
    ]);
    expect(await readAll(bench.store, userFeed(tenant))).toEqual([]);
  });

  test("is stored for a message without feeds", async () => {
    const tenant = bench.tenant();
    const first = message(tenant, { key: "k", digest: "d", feeds: [], expireTime: start + 100 });
    expect(await bench.store.append([first])).toMatchObject([{ outcome: "stored", id: first.id, seqs: [] }]);
    expect(await bench.store.append([{ ...message(tenant), key: "k", digest: "d" }])).toMatchObject([
      { outcome: "duplicate", id: first.id },
    ]);
  });

  test.each([["user/ann"], ["user/ann", "tenant"]])(
    "outlasts a message that has expired and was trimmed, in %s %s",
    async (...feeds) => {
      await bench.alone(1000, async ({ store }) => {
        const keyed = (publishTime: number) =>
          message("t", { feeds, key: "k", digest: "d", publishTime, expireTime: publishTime + 100 });
        const [first, early, late] = [keyed(start), keyed(start + keyLifetimeMs - 1), keyed(start + keyLifetimeMs)];
        await store.append([first]);
        while ((await store.trim(0, early.publishTime)) > 0);
        expect(await store.append([early, { ...early, digest: "e" }])).toMatchObject([
          { outcome: "duplicate", id: first.id, publishTime: start },
          { outcome: "conflict" },
        ]);
        while ((await store.trim(0, late.publishTime)) > 0);
        expect(await store.append([late])).toMatchObject([{ outcome: "stored", id: late.id }]);
        expect((await readAll(store, userFeed("t"), late.publishTime)).map(({ id }) => id)).toEqual([late.id]);
      });
    },
  );

  test("outlasts a message that retention by count has removed", async () => {
    await bench.alone(10, async ({ store }) => {
      const keyed = message("t", { key: "k", digest: "d" });
      const wide = message("t", { feeds: ["user/ann", "tenant"], key: "l", digest: "d" });
      await store.append([keyed, wide]);
      const feeds = ["user/ann", "tenant"];
      await store.append(messages("t", 600, () => ({ feeds, publishTime: start + keyLifetimeMs - 1 })));
      const late = { publishTime: start + keyLifetimeMs - 1 };
      expect(
        await store.append(
          [keyed, wide].map((each) => ({ ...each, ...message("t"), ...late, key: each.key, digest: "d" })),
        ),
      ).toMatchObject([keyed, wide].map(({ id }) => ({ outcome: "duplicate", id })));
      expect(await readAll(store, { tenant: "t", name: "tenant" })).toHaveLength(10);
    });
  });

  test("belongs to its tenant", async () => {
    const [ours, theirs] = [bench.tenant(), bench.tenant()];
    const both = [message(ours, { key: "k", digest: "d" }), message(theirs, { key: "k", digest: "e" })];
    expect((await bench.store.append(both)).map(({ outcome }) => outcome)).toEqual(["stored", "stored"]);
  });

  test("that is empty is none", async () => {
    const appended = await bench.store.append(messages(bench.tenant(), 3));
    expect(appended.map(({ outcome }) => outcome)).toEqual(["stored", "stored", "stored"]);
  });
}
