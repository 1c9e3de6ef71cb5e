import { expect, test } from "vitest";
import { guard, guardedClock } from "../../src/util/guard.ts";
import { FakeClock } from "../support/clock.ts";

const bug = new Error("a bug");

function broken(): never {
  throw bug;
}

test("guard reports what a call throws, and what its promise rejects with", async () => {
  const reported: unknown[] = [];
  const report = (error: unknown) => void reported.push(error);
  guard(report, broken);
  guard(report, async () => broken());
  await Promise.resolve();
  expect(reported).toEqual([bug, bug]);
});

test("A guarded clock reports the error of a timer, whose neighbours fire all the same", async () => {
  const clock = new FakeClock();
  const reported: unknown[] = [];
  const guarded = guardedClock(clock, (error) => reported.push(error));
  const fired: string[] = [];
  guarded.after(1, broken);
  guarded.after(1, () => fired.push("neighbour"));
  guarded.after(1, () => fired.push("cancelled")).cancel();
  expect(guarded.now()).toBe(clock.now());
  await clock.advance(2);
  expect(reported).toEqual([bug]);
  expect(fired).toEqual(["neighbour"]);
});
