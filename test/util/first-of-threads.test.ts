import { expect, test } from "vitest";
import { createFirstMemory, FirstOfThreads } from "../../src/util/first-of-threads.ts";

test("Exactly one of several threads is the first for a user and a message", () => {
  const memory = createFirstMemory();
  const [one, two] = [new FirstOfThreads(memory), new FirstOfThreads(memory)];
  expect(one.isFirst("ann", "m1")).toBe(true);
  expect(two.isFirst("ann", "m1")).toBe(false);
  expect(one.isFirst("ann", "m1")).toBe(false);
  expect(two.isFirst("ann", "m2")).toBe(true);
  expect(two.isFirst("bob", "m1")).toBe(true);
});

test("No user is taken for another, and one in a hundred is forgotten while 10,000 others are alerted", () => {
  const memory = createFirstMemory();
  const [one, two] = [new FirstOfThreads(memory), new FirstOfThreads(memory)];
  const users = Array.from({ length: 10_000 }, (_, index) => `acme\nuser-${index}`);
  for (let message = 0; message < 10; message++) {
    const id = `01900000-0000-7000-8000-00000000000${message}`;
    expect(users.filter((user) => !one.isFirst(user, id))).toEqual([]);
    expect(users.filter((user) => two.isFirst(user, id)).length).toBeLessThan(users.length / 50);
  }
});
