import fc from "fast-check";
import { expect, test } from "vitest";
import type { UnreadTotals } from "../../../src/client/events.ts";
import { Badge } from "../../../src/client/state/badge.ts";

const totals = (byCategory: Record<string, number>, version = 1): UnreadTotals => ({
  total: Object.values(byCategory).reduce((sum, count) => sum + count, 0),
  byCategory,
  version: String(version),
});

test("A replayed notification is in the totals of Hello, and a live one adds one", () => {
  const badge = new Badge();
  badge.hello(totals({ system: 2 }));
  badge.notification("system");
  expect(badge.totals.value).toEqual(totals({ system: 2 }));
  badge.caughtUp();
  badge.notification("system");
  badge.notification("");
  expect(badge.totals.value).toEqual(totals({ system: 3, "": 1 }));
});

test("A ReadState replaces the totals, even with a lower version", () => {
  const badge = new Badge();
  badge.hello(totals({ a: 5 }, 9));
  badge.caughtUp();
  badge.notification("a");
  badge.readState(totals({ a: 1 }, 3));
  badge.notification("a");
  expect(badge.totals.value).toEqual(totals({ a: 2 }, 3));
});

test("A unary response replaces the totals only if its version is a greater number", () => {
  const badge = new Badge();
  badge.hello(totals({ a: 5 }, 9));
  badge.answer(totals({ a: 4 }, 9));
  expect(badge.totals.value?.total).toBe(5);
  badge.answer(totals({ a: 3 }, 10));
  expect(badge.totals.value?.total).toBe(3);
  badge.answer(undefined);
  expect(badge.totals.value?.total).toBe(3);
});

test("A service has no totals, and messages give it none", () => {
  const badge = new Badge();
  badge.hello(undefined);
  badge.caughtUp();
  badge.notification("a");
  expect(badge.totals.value).toBeUndefined();
});

test("Categories named like properties of Object are counted", () => {
  const badge = new Badge();
  badge.hello(totals({}));
  badge.caughtUp();
  for (const category of ["__proto__", "constructor", "__proto__"]) badge.notification(category);
  expect(Object.entries(badge.totals.value?.byCategory ?? {})).toEqual([
    ["__proto__", 2],
    ["constructor", 1],
  ]);
});

test("The total is always the sum of its categories, and totals that were given out do not change", () => {
  const step = fc.oneof(
    fc.record({ notification: fc.constantFrom("", "a", "b") }),
    fc.record({ readState: fc.dictionary(fc.constantFrom("", "a", "b"), fc.nat(9), { noNullPrototype: true }) }),
  );
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const badge = new Badge();
      const seen: { value: UnreadTotals; json: string }[] = [];
      badge.totals.subscribe((value) => value && seen.push({ value, json: JSON.stringify(value) }));
      badge.hello(totals({}));
      badge.caughtUp();
      let model = 0;
      for (const each of steps) {
        if ("notification" in each) badge.notification(each.notification);
        else badge.readState(totals(each.readState));
        model = "notification" in each ? model + 1 : totals(each.readState).total;
        const { total = 0, byCategory = {} } = badge.totals.value ?? {};
        expect(total).toBe(model);
        expect(Object.values(byCategory).reduce((sum, count) => sum + count, 0)).toBe(model);
      }
      for (const { value, json } of seen) expect(JSON.stringify(value)).toBe(json);
    }),
  );
});
