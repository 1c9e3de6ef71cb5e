import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffMs, heldMs, refusedMs } from "../../../src/client/connection/backoff.ts";

const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("The bound of the back-off doubles from 0.5 s to 30 s and stays there", () => {
  const bounds = [0, 1, 2, 3, 4, 5, 6, 7, 100, 5_000].map((failures) => backoffMs(failures, 1));
  expect(bounds).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000]);
});

test("The back-off delay is spread over all of [0, bound)", () => {
  fc.assert(
    fc.property(fc.nat(10_000), fraction, (failures, f) => {
      expect(backoffMs(failures, f)).toBe(f * backoffMs(failures, 1));
    }),
  );
});

test("A delay that the server names is a lower bound, spread over half a second whatever the number of failures", () => {
  expect([0, 0.5, 0.999].map((f) => heldMs(3_000, 0, f))).toEqual([3_000, 3_250, 3_499.5]);
  expect([0, 0.5, 0.999].map((f) => heldMs(3_000, 9, f))).toEqual([3_000, 3_250, 3_499.5]);
});

test("A delay too short to be a retry slot is raised to the back-off", () => {
  expect([0, 1, 2, 3].map((failures) => heldMs(0, failures, 0.5))).toEqual([250, 500, 1_000, 2_000]);
  expect([0, 3].map((failures) => heldMs(499, failures, 0.5))).toEqual([499, 2_000]);
});

test("The delay after a fresh token that was refused grows from 0.5 s to between 15 and 30 s", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5_000 }), fraction, (refusals, f) => {
      const longest = Math.min(30_000, 500 * 2 ** refusals);
      expect(refusedMs(refusals, f)).toBeGreaterThanOrEqual(longest / 2);
      expect(refusedMs(refusals, f)).toBeLessThanOrEqual(longest);
    }),
  );
  expect([1, 2, 3, 6, 7].map((refusals) => refusedMs(refusals, 0))).toEqual([500, 1_000, 2_000, 15_000, 15_000]);
});
