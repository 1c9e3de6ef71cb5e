import { expect, test } from "vitest";
import { backoffMs } from "../../src/util/backoff.ts";

const times = { baseMs: 10, capMs: 65 };

test("backoffMs doubles its upper bound with each retry up to the cap, and returns the given fraction of it", () => {
  expect([0, 1, 2, 3, 4, 2000].map((retries) => backoffMs(times, retries, 0.5))).toEqual([5, 10, 20, 32.5, 32.5, 32.5]);
  expect(backoffMs(times, 3, 0)).toBe(0);
});
