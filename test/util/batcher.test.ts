import { expect, test } from "vitest";
import { Batcher } from "../../src/util/batcher.ts";

const lengths = (keys: readonly string[]) => new Map(keys.filter((key) => key !== "").map((key) => [key, key.length]));

test("what one turn asks for is one question, each key once", async () => {
  const questions: (readonly string[])[] = [];
  const together = new Batcher(10, async (keys) => {
    questions.push(keys);
    return lengths(keys);
  });
  const answers = ["a", "bb", "", "a"].map((key) => together.get(key));
  expect(questions).toEqual([]);
  expect(await Promise.all(answers)).toEqual([1, 2, undefined, 1]);
  expect(await together.get("a")).toBe(1);
  expect(questions).toEqual([["a", "bb", ""], ["a"]]);
});

test("a question is no larger than it may be, and those of another one do not fail with it", async () => {
  const together = new Batcher(2, async (keys) => {
    if (keys.includes("bad")) throw new Error("no answer");
    return lengths(keys);
  });
  const answers = await Promise.allSettled(["a", "bad", "cc", "dd", "e"].map((key) => together.get(key)));
  expect(answers.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled", "fulfilled", "fulfilled"]);
});

test("what is asked while a question is under way is read after it", async () => {
  const answers = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let asked = 0;
  const together = new Batcher(10, async (keys) => {
    const number = asked++;
    await answers[number]?.promise;
    return new Map(keys.map((key) => [key, number]));
  });
  const first = together.get("a");
  await expect.poll(() => asked).toBe(1);
  const second = together.get("a");
  answers[1]?.resolve();
  expect(await second).toBe(1);
  answers[0]?.resolve();
  expect(await first).toBe(0);
});
