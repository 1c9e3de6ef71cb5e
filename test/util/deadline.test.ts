import { expect, test } from "vitest";
import { Deadline } from "../../src/util/deadline.ts";
import { FakeClock } from "../support/clock.ts";

const late = () => new Error("too late");

test("A Deadline rejects work that takes longer, and its check throws once it has passed", async () => {
  const clock = new FakeClock();
  const deadline = new Deadline(100, late, clock);
  const outcome = deadline.race(new Promise(() => {})).catch((error: Error) => error.message);
  await clock.advance(99);
  expect(() => deadline.check()).not.toThrow();
  expect(deadline.isOver).toBe(false);
  await clock.advance(1);
  expect(await outcome).toBe("too late");
  expect(() => deadline.check()).toThrow("too late");
  expect(deadline.isOver).toBe(true);
});

test("A Deadline settles as its work does when that ends in time, and leaves no timer", async () => {
  const clock = new FakeClock();
  const deadline = new Deadline(100, late, clock);
  expect(await deadline.race(Promise.resolve("done"))).toBe("done");
  expect(deadline.isOver).toBe(true);
  await clock.advance(1_000);
  expect(() => deadline.check()).not.toThrow();
  await expect(new Deadline(100, late, clock).race(Promise.reject(new Error("broken")))).rejects.toThrow("broken");
});
