import { expect, test } from "vitest";
import { Batcher } from "../../src/util/batcher.ts";

const lengths = (keys: readonly string[]) => new Map(keys.filter((key) => key !== "").map((key) => [key, key.length]));

test("Batcher asks once for all keys of one event-loop tick, and for each key once", async () => {
  const questions: (readonly string[])[] = [];
  const batcher = new Batcher(10, async (keys) => {
    questions.push(keys);
    return lengths(keys);
  });
  const answers = ["a", "bb", "", "a"].map((key) => batcher.get(key));
  expect(questions).toEqual([]);
  expect(await Promise.all(answers)).toEqual([1, 2, undefined, 1]);
  expect(await batcher.get("a")).toBe(1);
  expect(questions).toEqual([["a", "bb", ""], ["a"]]);
});

test("Batcher asks for keys of different groups apart, also when they are equal", async () => {
  const questions: (readonly [group: string, keys: readonly string[]])[] = [];
  const batcher = new Batcher(10, async (keys, group) => {
    questions.push([group, keys]);
    if (group === "bad") throw new Error("no answer");
    return new Map(keys.map((key) => [key, `${group} ${key}`]));
  });
  const answers = await Promise.allSettled([batcher.get("1", "x"), batcher.get("1", "bad"), batcher.get("2", "x")]);
  expect(answers.map((each) => (each.status === "fulfilled" ? each.value : "failed"))).toEqual([
    "x 1",
    "failed",
    "x 2",
  ]);
  expect(questions).toEqual([
    ["x", ["1", "2"]],
    ["bad", ["1"]],
  ]);
});

test("Batcher splits what is too large for one question, and keys of another part do not fail with it", async () => {
  const batcher = new Batcher(2, async (keys) => {
    if (keys.includes("bad")) throw new Error("no answer");
    return lengths(keys);
  });
  const answers = await Promise.allSettled(["a", "bad", "cc", "dd", "e"].map((key) => batcher.get(key)));
  expect(answers.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled", "fulfilled", "fulfilled"]);
});

test("Batcher reads a key anew that is asked for while an earlier question is under way", async () => {
  const answers = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let asked = 0;
  const batcher = new Batcher(10, async (keys) => {
    const number = asked++;
    await answers[number]?.promise;
    return new Map(keys.map((key) => [key, number]));
  });
  const first = batcher.get("a");
  await expect.poll(() => asked).toBe(1);
  const second = batcher.get("a");
  answers[1]?.resolve();
  expect(await second).toBe(1);
  answers[0]?.resolve();
  expect(await first).toBe(0);
});
