import fc from "fast-check";
import { expect, test } from "vitest";
import { LruCache } from "../../src/util/lru.ts";

test("A full LruCache evicts the least recently used entry", () => {
  const cache = new LruCache<string, number>({ entries: 2 });
  cache.set("a", 1);
  cache.set("b", 2);
  expect(cache.get("a")).toBe(1);
  cache.set("c", 3);
  expect(["a", "b", "c"].map((key) => cache.peek(key))).toEqual([1, undefined, 3]);
});

test("LruCache.peek does not count as a use, and LruCache.getOrCreate creates a value once", () => {
  const cache = new LruCache<string, number>({ entries: 2 });
  expect([cache.getOrCreate("a", () => 1), cache.getOrCreate("a", () => 9)]).toEqual([1, 1]);
  cache.set("b", 2);
  cache.peek("a");
  cache.set("c", 3);
  expect([...cache.values()]).toEqual([2, 3]);
});

test("An LruCache does not keep a value that costs more than its limit", () => {
  const cache = new LruCache<string, number>({ cost: 10, costOf: (value) => value });
  cache.set("small", 4);
  cache.set("large", 11);
  expect([cache.size, cache.cost]).toEqual([0, 0]);
});

test("An LruCache agrees with a list in the order of use after any sequence of calls", () => {
  const key = fc.integer({ min: 0, max: 5 });
  const step = fc.oneof(
    fc.record({ act: fc.constant("set" as const), key, value: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ act: fc.constantFrom("get" as const, "delete" as const), key }),
    fc.record({ act: fc.constant("clear" as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const cache = new LruCache<number, number>({ entries: 3, cost: 8, costOf: (value) => value });
      let model: [key: number, value: number][] = [];
      for (const each of steps) {
        const known = "key" in each ? model.find(([key]) => key === each.key) : undefined;
        const rest = model.filter((entry) => entry !== known);
        if (each.act === "clear") {
          cache.clear();
          model = [];
        } else if (each.act === "delete") {
          expect(cache.delete(each.key)).toBe(known !== undefined);
          model = rest;
        } else if (each.act !== "set") {
          expect(cache.get(each.key)).toBe(known?.[1]);
          if (known) model = [...rest, known];
        } else {
          cache.set(each.key, each.value);
          model = [...rest, [each.key, each.value]];
          while (model.length > 3 || model.reduce((sum, [, value]) => sum + value, 0) > 8) model.shift();
        }
        expect([...cache.values()]).toEqual(model.map(([, value]) => value));
        expect(cache.cost).toBe(model.reduce((sum, [, value]) => sum + value, 0));
      }
    }),
  );
});
