import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffMs, refusedMs } from "../../src/client/backoff.ts";

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

test("refused tokens wait between 15 and 30 s", () => {
  fc.assert(
    fc.property(fraction, (f) => {
      expect(refusedMs(f)).toBeGreaterThanOrEqual(15_000);
      expect(refusedMs(f)).toBeLessThanOrEqual(30_000);
    }),
  );
});
