import { expect, test } from "vitest";
import type { Append, Selection } from "../ports/store.ts";
import { endless, messages, selection, start, upTo, userFeed } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** Twelve messages, no two of which have the same facets. */
const twelve = (index: number): Partial<Append> => ({
  kind: (index % 3) + 1,
  category: ["", "system", "admin", "operation"][index % 4] as string,
  actorId: index % 2 ? "ann" : "",
  objectType: index < 6 ? "task" : "doc",
  objectId: `o${index % 2}`,
  batchId: index >= 10 ? "batch" : "",
  publishTime: start + index,
  expireTime: index === 7 || index === 8 ? start + 100 : Number.POSITIVE_INFINITY,
});

const filters: [name: string, filter: Partial<Selection>, seqs: number[]][] = [
  ["no filter", {}, upTo(12)],
  ["one kind", { kinds: [1] }, [1, 4, 7, 10]],
  ["several kinds", { kinds: [1, 3] }, [1, 3, 4, 6, 7, 9, 10, 12]],
  ["one category", { categories: ["system"] }, [2, 6, 10]],
  ["several categories, the empty one included", { categories: ["", "admin"] }, [1, 3, 5, 7, 9, 11]],
  ["an actor", { actorId: "ann" }, [2, 4, 6, 8, 10, 12]],
  ["an object", { objectType: "task", objectId: "o0" }, [1, 3, 5]],
  ["a type of object", { objectType: "doc" }, upTo(12, 7)],
  ["an object's id", { objectId: "o1" }, [2, 4, 6, 8, 10, 12]],
  ["a batch", { batchId: "batch" }, [11, 12]],
  ["a start time, included", { startTime: start + 9 }, [10, 11, 12]],
  ["an end time, excluded", { endTime: start + 2 }, [1, 2]],
  ["a period", { startTime: start + 3, endTime: start + 5 }, [4, 5]],
  ["messages that are live at a time", { now: start + 100 }, [1, 2, 3, 4, 5, 6, 7, 10, 11, 12]],
  ["messages that are live a moment before", { now: start + 99 }, upTo(12)],
  ["messages that have expired", { now: start + 100, expired: true }, [8, 9]],
  ["messages that have expired, a moment before they do", { now: start + 99, expired: true }, []],
  ["one range", { ranges: [[3, 5]] }, [3, 4, 5]],
  [
    "several ranges",
    {
      ranges: [
        [1, 2],
        [5, 5],
        [9, 30],
      ],
    },
    [1, 2, 5, 9, 10, 11, 12],
  ],
  ["no range", { ranges: [] }, []],
  ["a range beyond the end", { ranges: [[13, 99]] }, []],
  ["several facets at once", { kinds: [2], categories: ["system"], actorId: "ann", ranges: [[1, 9]] }, [2]],
  ["a combination that no message has", { kinds: [2], categories: ["admin"], batchId: "other" }, []],
];

/** Filters are combined by AND; order and limit apply to all ranges together. */
export function selectLaw(bench: StoreBench): void {
  test.each(filters)("filters by %s, in both orders", async (_name, filter, expected) => {
    const feed = userFeed(bench.tenant());
    await bench.store.append(messages(feed.tenant, 12, twelve));
    const oldest = await bench.store.select(selection(feed, { ...filter, order: "oldest" }));
    expect(oldest.map(({ seq }) => seq)).toEqual(expected);
    const newest = await bench.store.select(selection(feed, { ...filter, order: "newest" }));
    expect(newest.map(({ seq }) => seq)).toEqual(expected.toReversed());
  });

  test("filters by actor and by object in a feed of activities", async () => {
    const feed = { tenant: bench.tenant(), name: "activity" };
    await bench.store.append(messages(feed.tenant, 12, (index) => ({ ...twelve(index), kind: 2, feeds: [feed.name] })));
    const seqs = async (filter: Partial<Selection>) =>
      (await bench.store.select(selection(feed, { ...filter, order: "newest", limit: 3 }))).map(({ seq }) => seq);
    expect(await seqs({ actorId: "ann" })).toEqual([12, 10, 8]);
    expect(await seqs({ actorId: "ann", ranges: [[1, 9]] })).toEqual([8, 6, 4]);
    expect(await seqs({ objectType: "task", objectId: "o1", kinds: [2] })).toEqual([6, 4, 2]);
    expect(await seqs({ actorId: "bob" })).toEqual([]);
  });

  test("stops at its limit, at the end that the order asks for, across ranges", async () => {
    const feed = userFeed(bench.tenant());
    await bench.store.append(messages(feed.tenant, 12, twelve));
    const ranges = [
      [1, 2],
      [5, 6],
      [9, 30],
    ] as const;
    const seqs = async (order: "newest" | "oldest", limit: number) =>
      (await bench.store.select(selection(feed, { ranges, order, limit }))).map(({ seq }) => seq);
    expect(await seqs("oldest", 3)).toEqual([1, 2, 5]);
    expect(await seqs("newest", 5)).toEqual([12, 11, 10, 9, 6]);
    expect(await seqs("newest", 0)).toEqual([]);
    expect(await seqs("oldest", endless)).toEqual([1, 2, 5, 6, 9, 10, 11, 12]);
  });

  test("leaves out the body where it is not asked for, and nothing else", async () => {
    const feed = userFeed(bench.tenant());
    await bench.store.append(messages(feed.tenant, 12, twelve));
    const [full, bare] = await Promise.all([
      bench.store.select(selection(feed)),
      bench.store.select(selection(feed, { bodies: false })),
    ]);
    expect(bare).toEqual(full.map((entry) => ({ ...entry, body: new Uint8Array() })));
    expect(full.every(({ body }) => body.length > 0)).toBe(true);
  });

  test("returns nothing of a feed without messages", async () => {
    expect(await bench.store.select(selection(userFeed(bench.tenant())))).toEqual([]);
  });

  test("takes the text of a filter literally", async () => {
    const feed = userFeed(bench.tenant());
    const text = `%' OR 1=1 -- "\\ \u{1f600}`;
    await bench.store.append(messages(feed.tenant, 2, (index) => (index ? { category: text, actorId: text } : {})));
    const found = await bench.store.select(selection(feed, { categories: [text], actorId: text }));
    expect(found.map(({ seq }) => seq)).toEqual([2]);
    expect(await bench.store.select(selection(feed, { categories: ["%"] }))).toEqual([]);
  });
}
