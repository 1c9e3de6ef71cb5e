import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffMs, heldMs, refusedMs } from "../../../src/client/connection/backoff.ts";

const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("the bound doubles from 0.5 s to 30 s and stays there", () => {
  const bounds = [0, 1, 2, 3, 4, 5, 6, 7, 100, 5_000].map((failures) => backoffMs(failures, 1));
  expect(bounds).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000]);
});

test("the wait is spread over all of [0, bound)", () => {
  fc.assert(
    fc.property(fc.nat(10_000), fraction, (failures, f) => {
      expect(backoffMs(failures, f)).toBe(f * backoffMs(failures, 1));
    }),
  );
});

test("a named time is a lower bound, spread over half a second, whatever failed before", () => {
  expect([0, 0.5, 0.999].map((f) => heldMs(3_000, 0, f))).toEqual([3_000, 3_250, 3_499.5]);
  expect([0, 0.5, 0.999].map((f) => heldMs(3_000, 9, f))).toEqual([3_000, 3_250, 3_499.5]);
});

test("told to come back at once, it slows down as after failures", () => {
  expect([0, 1, 2, 3].map((failures) => heldMs(0, failures, 0.5))).toEqual([250, 500, 1_000, 2_000]);
  expect([0, 3].map((failures) => heldMs(499, failures, 0.5))).toEqual([499, 2_000]);
});

test("refused tokens wait between 15 and 30 s", () => {
  fc.assert(
    fc.property(fraction, (f) => {
      expect(refusedMs(f)).toBeGreaterThanOrEqual(15_000);
      expect(refusedMs(f)).toBeLessThanOrEqual(30_000);
    }),
  );
});
