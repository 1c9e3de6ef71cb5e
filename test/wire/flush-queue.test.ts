import { expect, test } from "vitest";
import { FlushQueue } from "../../src/wire/flush-queue.ts";

test("An error of one stream in a flush reaches that stream alone, and the others are flushed", () => {
  let flush = () => {};
  const reported: unknown[] = [];
  const queue = new FlushQueue(
    (call) => (flush = call),
    (error) => reported.push(error),
  );
  const flushed: string[] = [];
  const failed: unknown[] = [];
  const bug = new Error("a bug");
  const broken = () => {
    throw bug;
  };
  queue.add({ flush: () => flushed.push("first") });
  queue.add({ flush: broken, failed: (error) => failed.push(error) });
  queue.add({ flush: broken });
  queue.add({ flush: broken, failed: broken });
  queue.add({ flush: () => flushed.push("last") });
  flush();
  expect(flushed).toEqual(["first", "last"]);
  expect(failed).toEqual([bug]);
  expect(reported).toEqual([bug, bug]);
  // The queue works on.
  queue.add({ flush: () => flushed.push("next") });
  flush();
  expect(flushed).toEqual(["first", "last", "next"]);
});
