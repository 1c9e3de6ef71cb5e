import fc from "fast-check";
import { expect, test } from "vitest";
import { createProcessCountMemory, SharedProcessCounts } from "../../src/util/process-counts.ts";

const threads = 3;

/** The counts of each thread, as each opens them, and those of the first thread of the process. */
function open() {
  const memory = createProcessCountMemory(threads, 64);
  return {
    memory,
    each: Array.from({ length: threads }, (_, thread) => new SharedProcessCounts(memory, thread)),
    main: new SharedProcessCounts(memory, threads),
  };
}

test("A count adds up all threads", () => {
  const { each, main } = open();
  each[0]?.add("ann", 2);
  each[1]?.add("ann", 3);
  each[1]?.add("bob", 1);
  each[0]?.add("ann", -1);
  expect(each.map((processCounts) => processCounts.get("ann"))).toEqual([4, 4, 4]);
  expect(main.get("bob")).toBe(1);
  expect(main.get("eve")).toBe(0);
});

test("The counts of a thread that has ended are taken back, even if it held the lock", () => {
  const { memory, each, main } = open();
  for (let index = 0; index < 1_000; index++) each[index % threads]?.add(`user ${index % 10}`, 1);
  new Int32Array(memory.buffer)[0] = 1 + 1;
  main.release(1);
  const total = Array.from({ length: 10 }, (_, index) => main.get(`user ${index}`)).reduce((sum, count) => sum + count);
  expect(total).toBe(1_000 - Math.floor(1_000 / threads));
  each[1]?.add("user 3", 1);
  expect(main.get("user 3")).toBe(1 + 1_000 / 10 - Math.floor(1_000 / 10 / threads));
});

test("Counts agree with a model, whatever is added, taken back and released", () => {
  const steps = fc.array(
    fc.oneof(
      {
        weight: 20,
        arbitrary: fc.record({ thread: fc.nat(threads - 1), key: fc.nat(40), by: fc.integer({ min: -3, max: 4 }) }),
      },
      { weight: 1, arbitrary: fc.record({ release: fc.nat(threads - 1) }) },
    ),
    { maxLength: 300 },
  );
  const { each, main } = open();
  fc.assert(
    fc.property(steps, (given) => {
      const model = Array.from({ length: threads }, () => new Map<number, number>());
      for (const step of given) {
        if ("release" in step) {
          main.release(step.release);
          model[step.release]?.clear();
          continue;
        }
        const { thread, key, by } = step;
        each[thread]?.add(`key ${key}`, by);
        model[thread]?.set(key, Math.max(0, (model[thread]?.get(key) ?? 0) + by));
      }
      for (let key = 0; key <= 40; key++) {
        const expected = model.reduce((sum, counts) => sum + (counts.get(key) ?? 0), 0);
        expect(main.get(`key ${key}`)).toBe(expected);
      }
      for (let thread = 0; thread < threads; thread++) main.release(thread);
    }),
    { numRuns: 40 },
  );
});

test("A full table counts no further keys, and uses the entries of keys that are back at 0 again", () => {
  const { each } = open();
  const [processCounts] = each as [SharedProcessCounts];
  const most = 64;
  for (let index = 0; index < most; index++) processCounts.add(`${index}`, 1);
  processCounts.add("one too many", 1);
  expect(processCounts.get("one too many")).toBe(0);
  processCounts.add("7", -1);
  processCounts.add("one too many", 1);
  expect(processCounts.get("one too many")).toBe(1);
  expect(processCounts.get(`${most - 1}`)).toBe(1);
});
