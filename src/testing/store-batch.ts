import fc from "fast-check";
import { expect, test } from "vitest";
import type { BatchPage, Store } from "../ports/store.ts";
import { message, messages, start, upTo } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** A batch is all messages of a tenant with one batch id, in whatever feed, newest first, in pages that are stable. */
export function batchLaw(bench: StoreBench): void {
  test("has the messages with its id and no others, newest first, with every field", async () => {
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

  test("is separate for each tenant, however alike the names are", async () => {
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

  test("is complete in pages of any size", async () => {
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

  test("does not shift while new messages arrive between its pages", async () => {
    const tenant = bench.tenant();
    const send = () => bench.store.append([message(tenant, { batchId: "b", feeds: ["user/ann", "user/bob"] })]);
    for (let count = 0; count < 5; count++) await send();
    const before = await pages(bench.store, tenant, "b", 3);
    const during = await pages(bench.store, tenant, "b", 3, send);
    expect(during.map(({ id, seq }) => `${id} ${seq}`)).toEqual(before.map(({ id, seq }) => `${id} ${seq}`));
  });

  test("continues at its page cursor while listed messages and coming ones are recalled", async () => {
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

  test("leaves out messages that have expired", async () => {
    const tenant = bench.tenant();
    const sent = messages(tenant, 4, (index) => ({ batchId: "b", expireTime: start + 10 * (index + 1) }));
    await bench.store.append(sent);
    const at = async (now: number) => (await bench.store.batch(tenant, "b", "", 9, now)).entries.length;
    expect([await at(start), await at(start + 9), await at(start + 10), await at(start + 35)]).toEqual([4, 4, 3, 1]);
    expect(await at(start + 40)).toBe(0);
  });

  test("is empty after all messages that it lists were recalled", async () => {
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
    const locations = await bench.store.recall(
      tenant,
      listed.map(({ id }) => id),
    );
    expect(locations).toHaveLength(6);
    expect(await bench.store.batch(tenant, "b", "", 9, start)).toEqual({ entries: [], next: "" });
    // A late retry is a duplicate and restores nothing.
    const [again] = await bench.store.append([message(tenant, { batchId: "b", key: "k1", digest: "d" })]);
    expect(again?.outcome).toBe("duplicate");
    expect(await pages(bench.store, tenant, "b", 9)).toEqual([]);
  });

  test("lists a message once for each feed that still has it", async () => {
    await bench.alone(2, async ({ store }) => {
      const users = upTo(40).map((number) => `user/u${number}`);
      const [wide, next] = [
        message("t", { batchId: "b", feeds: users }),
        message("t", { batchId: "b", feeds: users.slice(35) }),
      ];
      await store.append([wide, next]);
      // Retention has removed it from the first 30 feeds.
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

  test("continues at its page cursor after the store was closed and opened again", async ({ skip }) => {
    await bench.alone(100, async (opened) => {
      if (!opened.reopen) return skip("this store cannot be opened again");
      await opened.store.append(messages("t", 5, () => ({ batchId: "b", feeds: ["user/ann", "user/bob"] })));
      const first = await opened.store.batch("t", "b", "", 3, start);
      const all = await pages(opened.store, "t", "b", 3);
      const { store } = await opened.reopen();
      expect([...first.entries, ...(await pagesAfter(store, "t", "b", first.next))]).toEqual(all);
    });
  });

  test("lists each message once per feed, for any messages and any size of pages", async () => {
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
}

/** All entries of a batch, page by page. `between` is called after each page. */
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
    if (!last && page.next === next) throw new Error(`a page after ${next} did not advance`);
    next = page.next;
    await between();
  }
  return listed;
}
