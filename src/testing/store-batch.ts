import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BatchPage, Store } from "../ports/store.ts";
import { message, messages, start, upTo } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** A batch is all of a tenant's messages of a name, in whatever feed, newest first, in pages that stay. */
export function batchLaw(bench: StoreBench): void {
  describe("a batch", () => {
    test("has its messages and no others, newest first, with all that they carry", async () => {
      const tenant = bench.tenant();
      const batch = [
        message(tenant, { batchId: "b", category: "x", actorId: "eve" }),
        message(tenant, { batchId: "b", feeds: ["tenant"], kind: 2, objectType: "t", objectId: "o" }),
        message(tenant, { batchId: "b", feeds: ["room/dm/a/b"], expireTime: start + 9 }),
      ] as const;
      await bench.store.append([message(tenant), batch[0], message(tenant, { batchId: "B" }), batch[1], batch[2]]);
      const { entries, next } = await bench.store.batch(tenant, "b", "", 10, start);
      expect(next).toBe("");
      expect(entries.map(({ id }) => id)).toEqual(batch.toReversed().map(({ id }) => id));
      expect(entries.map(({ body }) => new TextDecoder().decode(body))).toEqual(entries.map(({ id }) => id));
      expect(entries).toMatchObject([
        { feed: { tenant, name: "room/dm/a/b" }, seq: 1, batchId: "b", expireTime: start + 9 },
        { feed: { tenant, name: "tenant" }, seq: 1, kind: 2, objectType: "t", objectId: "o" },
        { feed: { tenant, name: "user/ann" }, seq: 2, category: "x", actorId: "eve", publishTime: start },
      ]);
      expect(await bench.store.batch(tenant, "none", "", 10, start)).toEqual({ entries: [], next: "" });
    });

    test("of another tenant is another one, whatever the names", async () => {
      const tenants = [bench.tenant(), bench.tenant()];
      tenants.push(`${tenants[0]}/b`, "");
      const name = bench.tenant();
      for (const tenant of tenants) await bench.store.append(messages(tenant, 2, () => ({ batchId: name })));
      for (const tenant of tenants) {
        const listed = await pages(bench.store, tenant, name, 1);
        expect(listed.map(({ feed }) => feed.tenant)).toEqual([tenant, tenant]);
      }
      const [ours, theirs] = tenants as [string, string];
      const all = (await pages(bench.store, ours, name, 10)).map(({ id }) => id);
      expect(await bench.store.recall(theirs, all)).toEqual([]);
      expect(await pages(bench.store, ours, name, 10)).toHaveLength(2);
    });

    test("is complete in pages of any size, with many receivers per message and many messages", async () => {
      const tenant = bench.tenant();
      const sizes = [1, 30, 1, 7, 100, 2, 1];
      const sent = sizes.map((size) =>
        message(tenant, { batchId: "b", feeds: upTo(size).map((number) => `user/u${number}`) }),
      );
      await bench.store.append(sent);
      const expected = sent.flatMap(({ id, feeds }) => feeds.map((feed) => `${id} ${feed}`));
      for (const limit of [1, 2, 7, 29, 30, 31, 100, 142, 143]) {
        const listed = await pages(bench.store, tenant, "b", limit);
        expect(new Set(listed.map(({ id }) => id)).size).toBe(sizes.length);
        expect([...new Set(listed.map(({ id }) => id))], `order with pages of ${limit}`).toEqual(
          sent.map(({ id }) => id).reverse(),
        );
        expect(listed.map(({ id, feed }) => `${id} ${feed.name}`).sort()).toEqual(expected.toSorted());
      }
    });

    test("stays as it is, page by page, while new messages come", async () => {
      const tenant = bench.tenant();
      const send = () => bench.store.append([message(tenant, { batchId: "b", feeds: ["user/ann", "user/bob"] })]);
      for (let count = 0; count < 5; count++) await send();
      const before = await pages(bench.store, tenant, "b", 3);
      const during = await pages(bench.store, tenant, "b", 3, send);
      expect(during.map(({ id, seq }) => `${id} ${seq}`)).toEqual(before.map(({ id, seq }) => `${id} ${seq}`));
    });

    test("goes on where it was while others recall what was listed, and what comes next", async () => {
      const tenant = bench.tenant();
      const sent = messages(tenant, 6, () => ({ batchId: "b" }));
      await bench.store.append(sent);
      const [newest, , third, , fifth] = sent.toReversed().map(({ id }) => id) as [
        string,
        string,
        string,
        string,
        string,
      ];
      const first = await bench.store.batch(tenant, "b", "", 2, start);
      await bench.store.recall(tenant, [newest, third]);
      const second = await bench.store.batch(tenant, "b", first.next, 2, start);
      await bench.store.recall(tenant, [fifth]);
      const rest = await pagesAfter(bench.store, tenant, "b", second.next);
      const listed = [...first.entries, ...second.entries, ...rest].map(({ id }) => id);
      const expected = sent.toReversed().map(({ id }) => id);
      expect(listed).toEqual(expected.filter((id) => id !== third));
    });

    test("has nothing that has expired", async () => {
      const tenant = bench.tenant();
      const sent = messages(tenant, 4, (index) => ({ batchId: "b", expireTime: start + 10 * (index + 1) }));
      await bench.store.append(sent);
      const at = async (now: number) => (await bench.store.batch(tenant, "b", "", 9, now)).entries.length;
      expect([await at(start), await at(start + 9), await at(start + 10), await at(start + 35)]).toEqual([4, 4, 3, 1]);
      expect(await at(start + 40)).toBe(0);
    });

    test("is emptied by the recall of what it lists", async () => {
      const tenant = bench.tenant();
      await bench.store.append(
        messages(tenant, 3, (index) => ({
          batchId: "b",
          key: `k${index}`,
          digest: "d",
          feeds: ["user/ann", "user/bob"],
        })),
      );
      const listed = await pages(bench.store, tenant, "b", 4);
      const places = await bench.store.recall(
        tenant,
        listed.map(({ id }) => id),
      );
      expect(places).toHaveLength(6);
      expect(await bench.store.batch(tenant, "b", "", 9, start)).toEqual({ entries: [], next: "" });
      // A late retry is a duplicate, and brings nothing back.
      const [again] = await bench.store.append([message(tenant, { batchId: "b", key: "k1", digest: "d" })]);
      expect(again?.outcome).toBe("duplicate");
      expect(await pages(bench.store, tenant, "b", 9)).toEqual([]);
    });

    test("lists only the inboxes that still have a message, and each of them", async () => {
      await bench.alone(2, async ({ store }) => {
        const users = upTo(40).map((number) => `user/u${number}`);
        const [wide, next] = [
          message("t", { batchId: "b", feeds: users }),
          message("t", { batchId: "b", feeds: users.slice(35) }),
        ];
        await store.append([wide, next]);
        // Of the first 30, newer messages have driven it out.
        const crowd = messages("t", 2, () => ({ feeds: users.slice(0, 30) }));
        await store.append(crowd);
        for (const limit of [1, 3, 5, 100]) {
          const listed = (await pages(store, "t", "b", limit)).map(({ id, feed }) => `${id} ${feed.name}`);
          const expected = [
            ...users.slice(35).map((name) => `${next.id} ${name}`),
            ...users.slice(30).map((name) => `${wide.id} ${name}`),
          ];
          expect(listed.sort(), `pages of ${limit}`).toEqual(expected.sort());
        }
      });
    });

    test("outlives the store", async ({ skip }) => {
      await bench.alone(100, async (opened) => {
        if (!opened.reopen) return skip("nothing outlives this store");
        await opened.store.append(messages("t", 5, () => ({ batchId: "b", feeds: ["user/ann", "user/bob"] })));
        const first = await opened.store.batch("t", "b", "", 3, start);
        const all = await pages(opened.store, "t", "b", 3);
        const { store } = await opened.reopen();
        expect([...first.entries, ...(await pagesAfter(store, "t", "b", first.next))]).toEqual(all);
      });
    });

    test("lists each place once, for any messages and any pages", async () => {
      const sent = fc.array(fc.record({ users: fc.nat({ max: 9 }), batchId: fc.constantFrom("b", "b", "c", "") }), {
        maxLength: 12,
      });
      await fc.assert(
        fc.asyncProperty(sent, fc.integer({ min: 1, max: 12 }), async (script, limit) => {
          const tenant = bench.tenant();
          const batch = script.map(({ users, batchId }) =>
            message(tenant, { batchId, feeds: upTo(users).map((number) => `user/u${number}`) }),
          );
          if (batch.length > 0) await bench.store.append(batch);
          const listed = (await pages(bench.store, tenant, "b", limit)).map(({ id, feed }) => `${id} ${feed.name}`);
          const expected = batch
            .filter(({ batchId }) => batchId === "b")
            .flatMap(({ id, feeds }) => feeds.map((feed) => `${id} ${feed}`));
          expect(listed.sort()).toEqual(expected.sort());
        }),
        { numRuns: bench.scripts * 2 },
      );
    });
  });
}

/** All of a batch, page by page; `between` is called after each page. */
async function pages(
  store: Store,
  tenant: string,
  batchId: string,
  limit: number,
  between: () => unknown = () => {},
): Promise<BatchPage["entries"][number][]> {
  return pagesAfter(store, tenant, batchId, "", limit, between);
}

async function pagesAfter(
  store: Store,
  tenant: string,
  batchId: string,
  after: string,
  limit = 3,
  between: () => unknown = () => {},
): Promise<BatchPage["entries"][number][]> {
  const listed: BatchPage["entries"][number][] = [];
  for (let next = after, last = false; !last; ) {
    const page = await store.batch(tenant, batchId, next, limit, start);
    expect(page.entries.length).toBeLessThanOrEqual(limit);
    listed.push(...page.entries);
    last = page.next === "";
    if (!last && page.next === next) throw new Error(`a page after ${next} did not move on`);
    next = page.next;
    await between();
  }
  return listed;
}
