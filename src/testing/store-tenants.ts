import { expect, test } from "vitest";
import type { FeedKey } from "../ports/store.ts";
import { message, readAll, selection, start, stored, upTo, userFeed } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** Pairs of tenant and name that collide where the two are joined carelessly. */
const pairs: [tenant: string, name: string][] = [
  ["a", "b/c"],
  ["a/b", "c"],
  ["a", "b\nc"],
  ["a\nb", "c"],
  ["a\n", "b\nc"],
  ["a:b", "c"],
  ["a", "b:c"],
  ["1", "1a"],
  ["11", "a"],
  ["", "ab"],
  ["ab", ""],
  ["a", "b"],
  ["A", "b"],
  ["a", "B"],
  ["a ", "b"],
  ["a", " b"],
  ["a%", "b"],
  ["é", "b"],
  ["e\u0301", "b"],
  ["__proto__", "constructor"],
  ["constructor", "__proto__"],
];

/** The tenant is the unit of isolation. */
export function tenantLaw(bench: StoreBench): void {
  const scoped = (): FeedKey[] => {
    const prefix = `${bench.tenant()}|`;
    return pairs.map(([tenant, name]) => ({ tenant: prefix + tenant, name }));
  };

  test("separate feeds and keys, also where tenant and name look alike when joined", async () => {
    const feeds = scoped();
    const sent = feeds.map(({ tenant, name }) => message(tenant, { feeds: [name], key: `k${name}`, digest: name }));
    expect((await bench.store.append(sent)).map((appended) => stored(appended).seqs)).toEqual(feeds.map(() => [1]));
    for (const [index, feed] of feeds.entries()) {
      const id = sent[index]?.id;
      expect((await readAll(bench.store, feed)).map((entry) => entry.id)).toEqual([id]);
      expect((await bench.store.select(selection(feed))).map((entry) => entry.id)).toEqual([id]);
      expect(
        await bench.store.find(
          [feed],
          sent.map((each) => each.id),
        ),
      ).toMatchObject([{ id, feed }]);
    }
    const counted = await bench.store.countNotifications(
      feeds.map((feed) => ({ feed, ranges: [[1, 9]] })),
      start,
    );
    expect([...counted.byCategory]).toEqual([["", feeds.length]]);
  });

  test("separate read states", async () => {
    const users = scoped();
    for (const [index, { tenant, name }] of users.entries()) {
      expect(await bench.store.saveReadState(tenant, name, { version: 1, json: String(index) })).toBe(true);
    }
    for (const [index, { tenant, name }] of users.entries()) {
      expect(await bench.store.readState(tenant, name)).toEqual({ version: 1, json: String(index) });
    }
  });

  test("each have their own feeds and keys of the same names", async () => {
    const tenants = upTo(50).map(() => bench.tenant());
    const feeds = ["user/ann", "tenant", "activity"];
    const sent = tenants.map((tenant) => message(tenant, { feeds, key: "k", digest: tenant }));
    await Promise.all(sent.map((each) => bench.store.append([each])));
    for (const [index, tenant] of tenants.entries()) {
      for (const name of feeds) {
        expect((await readAll(bench.store, { tenant, name })).map(({ id }) => id)).toEqual([sent[index]?.id]);
      }
    }
    const [first, second] = sent;
    expect(await bench.store.recall(tenants[1] ?? "", [first?.id ?? ""])).toEqual([]);
    expect(await bench.store.recall(tenants[1] ?? "", [second?.id ?? ""])).toHaveLength(3);
    expect(await readAll(bench.store, userFeed(tenants[0] ?? ""))).toHaveLength(1);
  });
}
