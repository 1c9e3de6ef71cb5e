import { expect, test } from "vitest";
import { ConcurrencyLimit, mapLimited } from "../../src/util/limit.ts";

test("ConcurrencyLimit runs at most its limit of tasks at once, in the order of their calls", async () => {
  const limit = new ConcurrencyLimit(2);
  const tasks = ["a", "b", "c", "d"].map((name) => ({ name, end: Promise.withResolvers<void>() }));
  const started: string[] = [];
  const ended = tasks.map(({ name, end }) =>
    limit.run(() => {
      started.push(name);
      return end.promise;
    }),
  );
  expect([started, limit.running, limit.waiting]).toEqual([["a", "b"], 2, 2]);
  tasks[1]?.end.resolve();
  await ended[1];
  await expect.poll(() => started).toEqual(["a", "b", "c"]);
  expect([limit.running, limit.waiting]).toEqual([2, 1]);
  for (const { end } of tasks) end.resolve();
  await Promise.all(ended);
  expect([started, limit.running, limit.waiting]).toEqual([["a", "b", "c", "d"], 0, 0]);
});

test("ConcurrencyLimit frees the slot of a task that fails", async () => {
  const limit = new ConcurrencyLimit(1);
  await expect(limit.run(() => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  expect(await limit.run(async () => "next")).toBe("next");
});

test("mapLimited resolves in the order of its items, and rejects with the error of an item", async () => {
  expect(await mapLimited(2, [3, 1, 2], async (item) => item * 2)).toEqual([6, 2, 4]);
  await expect(mapLimited(2, [1, 2], () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
});
