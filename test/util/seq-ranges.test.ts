import { expect, test } from "vitest";
import { clip, withinAny } from "../../src/util/seq-ranges.ts";

test("clip keeps the parts of ranges between two seqs, and drops the ranges outside", () => {
  const ranges = [
    [1, 3],
    [5, 5],
    [8, 12],
    [20, 30],
  ] as const;
  expect(clip(ranges, 3, 10)).toEqual([
    [3, 3],
    [5, 5],
    [8, 10],
  ]);
  expect(clip(ranges, 13, 19)).toEqual([]);
  expect(clip([], 1, 9)).toEqual([]);
});

test("withinAny reports whether a seq lies in one of the ranges", () => {
  const isIn = withinAny([
    [2, 3],
    [5, 5],
    [8, 12],
  ]);
  const found = Array.from({ length: 15 }, (_, seq) => seq).filter(isIn);
  expect(found).toEqual([2, 3, 5, 8, 9, 10, 11, 12]);
  expect(withinAny([])(1)).toBe(false);
});
