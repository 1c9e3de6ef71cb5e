import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Append, Store } from "../../../src/ports/store.ts";
import type { OpenedStore } from "../../../src/testing/store-bench.ts";
import { message, messages, readAll, start, stored, upTo, userFeed } from "../../support/store-messages.ts";
import { benches, type MongoBench, openMongo } from "../../support/store-mongo.ts";

describe.each(benches)("Several nodes on one database of $name", { timeout: 60_000 }, ({ open }) => {
  let bench: MongoBench;
  const opened: OpenedStore[] = [];
  beforeAll(async () => {
    bench = await open();
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((each) => each.close()));
  });
  afterAll(() => bench.close());

  async function nodes(count: number, keep = 10_000): Promise<Store[]> {
    const url = bench.url();
    const all = await Promise.all(upTo(count).map(() => openMongo(bench, keep, url)));
    opened.push(...all);
    return all.map(({ store }) => store);
  }

  test("agree on its epoch and secret when they open it at the same time", async () => {
    const stores = await nodes(5);
    const bounds = await Promise.all(stores.map((store) => store.bounds([userFeed("t")])));
    expect(new Set(bounds.map(([first]) => first?.epoch)).size).toBe(1);
    expect(new Set(opened.map(({ info }) => Buffer.from(info.secret).toString("hex"))).size).toBe(1);
  });

  test("see how far others have appended to many feeds: by few entries, by many, and past what was trimmed", async () => {
    const [one, other] = (await nodes(2, 20)) as [Store, Store];
    const grown = { still: 0, little: 3, edge: 7, over: 8, much: 15, trimmed: 60 };
    const feeds = Object.keys(grown).map((user) => userFeed("t", user));
    const append = (store: Store, user: string, count: number) =>
      store.append(messages("t", count, () => ({ feeds: [`user/${user}`] })));
    for (const user of Object.keys(grown)) await append(one, user, 2);
    expect((await one.bounds(feeds)).map(({ seq }) => seq)).toEqual(feeds.map(() => 2));
    for (const [user, count] of Object.entries(grown)) if (count > 0) await append(other, user, count);
    while ((await other.trim(start - 1, start)) > 0);
    expect((await one.bounds(feeds)).map(({ seq }) => seq)).toEqual(Object.values(grown).map((count) => 2 + count));
  });

  test("append to the same feeds without a hole, and use no number twice", async () => {
    const stores = await nodes(3);
    const feeds = ["user/ann", "tenant"];
    const calls = upTo(150).map((number) => {
      const append = message("t", { feeds: number % 5 === 0 ? feeds : [feeds[number % 2] as string] });
      return { append, answer: (stores[number % 3] as Store).append([append]) };
    });
    const messageAt = new Map<string, string>();
    for (const { append, answer } of calls) {
      stored((await answer)[0]).seqs.forEach((seq, index) => {
        const slot = `${append.feeds[index]} ${seq}`;
        expect(messageAt.has(slot), slot).toBe(false);
        messageAt.set(slot, append.id);
      });
    }
    for (const store of stores) {
      for (const name of feeds) {
        const entries = await readAll(store, { tenant: "t", name });
        expect(entries.map(({ seq }) => seq)).toEqual(upTo(entries.length));
        expect(entries.every(({ seq, id }) => messageAt.get(`${name} ${seq}`) === id)).toBe(true);
      }
    }
    const all = await Promise.all(feeds.map((name) => readAll(stores[0] as Store, { tenant: "t", name })));
    expect(all.flat()).toHaveLength(messageAt.size);
  });

  test("append more than a hundred messages at once without a hole to a feed that another node has appended to", async () => {
    const [one, two] = (await nodes(2)) as [Store, Store];
    await two.bounds([userFeed("t")]);
    await one.append(messages("t", 20));
    // The end that `two` knows is out of date: its insert fails at the first entry, and must stop there.
    const answers = await two.append(messages("t", 130));
    expect(answers.map((answer) => stored(answer).seqs)).toEqual(upTo(150, 21).map((seq) => [seq]));
    expect((await readAll(one, userFeed("t"))).map(({ seq }) => seq)).toEqual(upTo(150));
  });

  test.each([
    ["one feed", ["user/ann"]],
    ["several feeds", ["user/ann", "user/bob", "tenant"]],
    ["no feed", []],
  ])(
    "store a message of %s once when three nodes race for its key, in each of a hundred rounds",
    async (_name, feeds) => {
      const stores = await nodes(3);
      const winners: string[] = [];
      for (const key of upTo(100).map((number) => `key ${number}`)) {
        const racers = messages("t", 3, () => ({ key, digest: "d", feeds }));
        const answers = (
          await Promise.all(stores.map((store, index) => store.append([racers[index] as Append])))
        ).flat();
        const ids = new Set(answers.map((answer) => (answer.outcome === "conflict" ? "conflict" : answer.id)));
        expect(ids.size, JSON.stringify(answers)).toBe(1);
        expect(answers.filter(({ outcome }) => outcome === "stored")).toHaveLength(1);
        winners.push(...ids);
      }
      for (const name of feeds) {
        const entries = await readAll(stores[0] as Store, { tenant: "t", name });
        expect(entries.map(({ id }) => id)).toEqual(winners);
      }
    },
  );

  test("replace each other's messages: one is left, and each other one is reported once as replaced", async () => {
    const stores = await nodes(3);
    const racers = messages("t", 24, () => ({ key: "k", digest: "d", replace: true }));
    const answers = await Promise.all(racers.map((racer, index) => (stores[index % 3] as Store).append([racer])));
    const left = await readAll(stores[1] as Store, userFeed("t"));
    expect(left).toHaveLength(1);
    const gone = answers.flat().flatMap((answer) => (stored(answer).replaced ?? []).map(({ id }) => id));
    expect(gone.sort()).toEqual(
      racers
        .map(({ id }) => id)
        .filter((id) => id !== left[0]?.id)
        .sort(),
    );
  });

  test("trim at the same time, and the tail that readers see is behind all that was trimmed", async () => {
    const stores = await nodes(2, 50);
    const [one, two] = stores as [Store, Store];
    await one.append(messages("t", 80, (index) => ({ publishTime: start + index })));
    await Promise.all([one.trim(start + 60, start), two.trim(start + 70, start)]);
    await two.append(messages("t", 20, () => ({ publishTime: start + 90 })));
    for (const store of stores) {
      const { bounds, entries } = await store.read(userFeed("t"), 0, 1000, 1000, start);
      expect(bounds).toMatchObject({ seq: 100, tail: 71 });
      expect(entries.map(({ seq }) => seq)).toEqual(upTo(100, 71));
    }
  });

  test("save a read state only on top of its predecessor, which any of them may have saved", async () => {
    const stores = await nodes(3);
    for (let version = 1; version <= 20; version++) {
      const saves = stores.map((store, node) => store.saveReadState("t", "ann", { version, json: `${node}` }));
      const won = (await Promise.all(saves)).flatMap((success, node) => (success ? [node] : []));
      expect(won).toHaveLength(1);
      expect(await (stores[0] as Store).readState("t", "ann")).toEqual({ version, json: `${won[0]}` });
    }
  });
});
