import { expect, test } from "vitest";
import { Scheduler } from "./scheduler.ts";

test("The scheduler runs calls in the order of their times, and calls of the same time in the order added", async () => {
  const scheduler = new Scheduler();
  const calls: string[] = [];
  for (const [time, name] of [
    [5, "c"],
    [1, "a"],
    [5, "d"],
    [3, "b"],
  ] as const) {
    scheduler.at(time, () => calls.push(`${name} ${scheduler.now}`));
  }
  scheduler.at(4, () => calls.push("never")).cancel();
  await scheduler.run(4);
  expect(calls).toEqual(["a 1", "b 3"]);
  await scheduler.run(10);
  expect(calls).toEqual(["a 1", "b 3", "c 5", "d 5"]);
  expect(scheduler.now).toBe(10);
});

test("The scheduler runs a call only after the promises of the previous one have settled", async () => {
  const scheduler = new Scheduler();
  const calls: string[] = [];
  scheduler.at(1, () => {
    void (async () => {
      for (let step = 0; step < 50; step++) await undefined;
      calls.push("followed");
    })();
  });
  scheduler.at(1, () => calls.push("next"));
  await scheduler.run(1);
  expect(calls).toEqual(["followed", "next"]);
});

test("A run of the scheduler rejects with the error of a call that throws", async () => {
  const scheduler = new Scheduler();
  scheduler.at(1, () => {
    throw new Error("broken");
  });
  await expect(scheduler.run(2)).rejects.toThrow("broken");
});
