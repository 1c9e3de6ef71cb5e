import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SeqSet } from "../../src/inbox/seq-set.ts";
import { unbounded } from "../../src/ports/store.ts";

const most = 40;
const seq = fc.integer({ min: 1, max: most });
const run = fc.tuple(seq, seq);
const change = fc.record({ remove: fc.boolean(), run });

/** Builds a set by changes, and the plain set that it must equal. A run whose end precedes its start is empty. */
function build(changes: readonly { remove: boolean; run: [number, number] }[]) {
  const set = SeqSet.from();
  const model = new Set<number>();
  for (const { remove, run } of changes) {
    const [from, to] = run;
    if (remove) set.remove(from, to);
    else set.add(from, to);
    for (let seq = from; seq <= to; seq++) {
      if (remove) model.delete(seq);
      else model.add(seq);
    }
  }
  return { set, model };
}

const built = fc.array(change, { maxLength: 20 }).map(build);

function expand(runs: readonly (readonly [number, number])[]): number[] {
  return runs.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, index) => from + index));
}

function sorted(model: Iterable<number>): number[] {
  return [...model].sort((a, b) => a - b);
}

describe("SeqSet", () => {
  test("equals a plain set after any changes", () => {
    fc.assert(
      fc.property(built, ({ set, model }) => {
        expect(expand(set.ranges())).toEqual(sorted(model));
        for (let seq = 0; seq <= most + 1; seq++) expect(set.has(seq)).toBe(model.has(seq));
      }),
    );
  });

  test("keeps its runs ascending, disjoint and as few as possible", () => {
    fc.assert(
      fc.property(built, ({ set }) => {
        const bounds = set.toJSON();
        for (let index = 1; index < bounds.length; index++) {
          const [before, here] = [bounds[index - 1] as number, bounds[index] as number];
          if (index % 2 === 1) expect(here).toBeGreaterThanOrEqual(before);
          else expect(here).toBeGreaterThan(before + 1);
        }
      }),
    );
  });

  test("splits any slice into runs and gaps", () => {
    fc.assert(
      fc.property(built, seq, seq, ({ set, model }, a, b) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const slice = expand([[from, to]]);
        expect(expand(set.ranges(from, to))).toEqual(slice.filter((seq) => model.has(seq)));
        expect(expand(set.gaps(from, to))).toEqual(slice.filter((seq) => !model.has(seq)));
      }),
    );
  });

  test("unites with another set without changing either", () => {
    fc.assert(
      fc.property(built, built, (one, other) => {
        const before = [[...one.set.toJSON()], [...other.set.toJSON()]];
        expect(expand(one.set.union(other.set).ranges())).toEqual(sorted(new Set([...one.model, ...other.model])));
        expect([one.set.toJSON(), other.set.toJSON()]).toEqual(before);
      }),
    );
  });

  test("adds and removes another set as a whole without changing that", () => {
    fc.assert(
      fc.property(built, built, built, (one, two, other) => {
        const before = [...other.set.toJSON()];
        one.set.addAll(other.set);
        two.set.removeAll(other.set);
        expect(expand(one.set.ranges())).toEqual(sorted(new Set([...one.model, ...other.model])));
        expect(expand(two.set.ranges())).toEqual(sorted([...two.model].filter((seq) => !other.model.has(seq))));
        expect([...other.set.toJSON()]).toEqual(before);
        for (const { set } of [one, two])
          expect(set.ranges()).toEqual(SeqSet.from(set.toJSON()).union(SeqSet.from()).ranges());
      }),
    );
  });

  test("unites, adds and removes sets of 200,000 runs each in linear time", () => {
    const odd = SeqSet.from(Array.from({ length: 200_000 }, (_, index) => [4 * index + 1, 4 * index + 1]).flat());
    const even = SeqSet.from(Array.from({ length: 200_000 }, (_, index) => [4 * index + 3, 4 * index + 3]).flat());
    const started = performance.now();
    const both = odd.union(even);
    expect(both.runs).toBe(400_000);
    both.removeAll(odd);
    expect(both.toJSON()).toEqual(even.toJSON());
    both.addAll(odd);
    expect(both.runs).toBe(400_000);
    // One splice for each run would take minutes.
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test("is copied by its JSON, and by its bounds, without sharing them", () => {
    fc.assert(
      fc.property(built, ({ set }) => {
        const copy = SeqSet.from(JSON.parse(JSON.stringify(set)) as number[]);
        expect(copy.ranges()).toEqual(set.ranges());
        const twin = SeqSet.from(set.toJSON());
        twin.add(1, most + 10);
        expect(copy.ranges()).toEqual(set.ranges());
      }),
    );
  });

  test("has no runs and one unbounded gap when it is empty", () => {
    expect(SeqSet.from().ranges()).toEqual([]);
    expect(SeqSet.from().gaps()).toEqual([[1, unbounded]]);
  });

  test("keeps a million messages as one run", () => {
    const set = SeqSet.from();
    set.add(1, 1_000_000);
    set.add(1_000_001);
    expect(set.toJSON()).toEqual([1, 1_000_001]);
  });
});
