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

test("A call for after the flush runs when every stream of it is flushed, and its error is reported", () => {
  const flushes: (() => void)[] = [];
  const reported: unknown[] = [];
  const queue = new FlushQueue(
    (call) => flushes.push(call),
    (error) => reported.push(error),
  );
  const done: string[] = [];
  const bug = new Error("a bug");
  queue.afterFlush(() => done.push("after"));
  queue.add({
    flush: () => {
      done.push("first");
      queue.afterFlush(() => done.push("after, from a stream"));
      queue.afterFlush(() => {
        throw bug;
      });
      queue.add({ flush: () => done.push("next flush") });
    },
  });
  queue.add({ flush: () => done.push("second") });
  expect(flushes).toHaveLength(1);
  flushes[0]?.();
  expect(done).toEqual(["first", "second", "after", "after, from a stream"]);
  expect(reported).toEqual([bug]);
  expect(flushes).toHaveLength(2);
  flushes[1]?.();
  expect(done.at(-1)).toBe("next flush");
  // Nothing waits: a call alone still gets a flush.
  queue.afterFlush(() => done.push("alone"));
  flushes[2]?.();
  expect(done.at(-1)).toBe("alone");
});
