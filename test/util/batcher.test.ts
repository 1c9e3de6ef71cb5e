import { expect, test } from "vitest";
import { Batcher } from "../../src/util/batcher.ts";

const lengths = (keys: readonly string[]) => new Map(keys.filter((key) => key !== "").map((key) => [key, key.length]));

test("Batcher fetches all keys of one event-loop tick together, and each key once", async () => {
  const batches: (readonly string[])[] = [];
  const batcher = new Batcher(10, async (keys) => {
    batches.push(keys);
    return lengths(keys);
  });
  const results = ["a", "bb", "", "a"].map((key) => batcher.get(key));
  expect(batches).toEqual([]);
  expect(await Promise.all(results)).toEqual([1, 2, undefined, 1]);
  expect(await batcher.get("a")).toBe(1);
  expect(batches).toEqual([["a", "bb", ""], ["a"]]);
});

test("Batcher fetches keys of different groups apart, even when the keys are equal", async () => {
  const batches: (readonly [group: string, keys: readonly string[]])[] = [];
  const batcher = new Batcher(10, async (keys, group) => {
    batches.push([group, keys]);
    if (group === "bad") throw new Error("no result");
    return new Map(keys.map((key) => [key, `${group} ${key}`]));
  });
  const results = await Promise.allSettled([batcher.get("1", "x"), batcher.get("1", "bad"), batcher.get("2", "x")]);
  expect(results.map((each) => (each.status === "fulfilled" ? each.value : "failed"))).toEqual([
    "x 1",
    "failed",
    "x 2",
  ]);
  expect(batches).toEqual([
    ["x", ["1", "2"]],
    ["bad", ["1"]],
  ]);
});

test("Batcher splits a batch that is too large, and a part that fails rejects its own keys only", async () => {
  const batcher = new Batcher(2, async (keys) => {
    if (keys.includes("bad")) throw new Error("no result");
    return lengths(keys);
  });
  const results = await Promise.allSettled(["a", "bad", "cc", "dd", "e"].map((key) => batcher.get(key)));
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled", "fulfilled", "fulfilled"]);
});

test("Batcher fetches a key again that is requested while an earlier fetch is in flight", async () => {
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let fetched = 0;
  const batcher = new Batcher(10, async (keys) => {
    const number = fetched++;
    await gates[number]?.promise;
    return new Map(keys.map((key) => [key, number]));
  });
  const first = batcher.get("a");
  await expect.poll(() => fetched).toBe(1);
  const second = batcher.get("a");
  gates[1]?.resolve();
  expect(await second).toBe(1);
  gates[0]?.resolve();
  expect(await first).toBe(0);
});
