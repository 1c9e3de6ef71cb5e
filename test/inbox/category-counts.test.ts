import fc from "fast-check";
import { expect, test } from "vitest";
import { Badge } from "../../src/client/state/badge.ts";
import { addCounts, type CategoryCounts, maxCategories, otherCategories } from "../../src/inbox/category-counts.ts";

/** As many categories as a total names, and some more. */
const category = fc.integer({ min: 0, max: maxCategories + 40 }).map((index) => (index === 0 ? "" : `c${index}`));
const categories = fc.array(category, { maxLength: 400 });

function sumOf(counts: CategoryCounts): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

function count(messages: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const each of messages) counts.set(each, (counts.get(each) ?? 0) + 1);
  return counts;
}

test("Counts name at most 100 categories, each of them exactly, and keep the sum of all", () => {
  fc.assert(
    fc.property(fc.array(categories, { minLength: 1, maxLength: 4 }), (parts) => {
      const bounded = parts.reduce<CategoryCounts>((sum, part) => addCounts(sum, count(part)), new Map());
      const exact = count(parts.flat());
      expect(sumOf(bounded)).toBe(parts.flat().length);
      const named = [...bounded.keys()].filter((name) => name !== otherCategories);
      expect(named).toHaveLength(Math.min(exact.size, maxCategories));
      for (const name of named) expect(bounded.get(name)).toBe(exact.get(name));
    }),
  );
});

test("Counts give names to the categories that come first", () => {
  const services = count(["system", "admin"]);
  const invented = count(Array.from({ length: 1500 }, (_, index) => `${index}`));
  const counts = addCounts(addCounts(new Map(), services), invented);
  expect(counts.size).toBe(maxCategories + 1);
  expect([counts.get("system"), counts.get("admin"), counts.get(otherCategories)]).toEqual([1, 1, 1402]);
});

test("A client that counts notifications one by one has the counts of the server", () => {
  fc.assert(
    fc.property(categories, categories, (stored, live) => {
      const unread = addCounts(new Map(), count(stored));
      const badge = new Badge();
      badge.hello({ total: stored.length, byCategory: Object.fromEntries(unread), version: "1" });
      badge.caughtUp();
      for (const each of live) badge.notification(each);
      const { total, byCategory } = badge.totals.value ?? { total: 0, byCategory: {} };
      expect(total).toBe(stored.length + live.length);
      expect(byCategory).toEqual(Object.fromEntries(addCounts(unread, count(live))));
    }),
  );
});
