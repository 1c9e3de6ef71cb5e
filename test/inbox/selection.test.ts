import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { slicesOf } from "../../src/inbox/selection.ts";
import { type SeqRanges, unbounded } from "../../src/ports/store.ts";
import { startTestCore, type TestCore, toUser, userOf } from "../support/core.ts";

const seqsOf = (ranges: SeqRanges) =>
  ranges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, index) => from + index));

describe("The slices of a selection", () => {
  const runs = fc
    .array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 5000 })), { maxLength: 8 })
    .map((steps) => {
      let last = 0;
      return steps.map(([gap, length]): [number, number] => {
        const from = last + 2 + gap;
        last = from + length;
        return [from, last];
      });
    });

  test("have every seq within the bounds once, in order, and no others", () => {
    fc.assert(
      fc.property(runs, fc.nat({ max: 20_000 }), fc.nat({ max: 20_000 }), (ranges, tail, seq) => {
        const slices = [...slicesOf(ranges, { epoch: 1, tail: tail + 1, seq })];
        const wanted = seqsOf(ranges).filter((each) => each > tail && each <= seq);
        expect(slices.flatMap((slice) => seqsOf(slice))).toEqual(wanted);
        for (const slice of slices) {
          expect(slice.length).toBeGreaterThan(0);
          expect(seqsOf(slice).length).toBeLessThanOrEqual(2000);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("are bounded for a range without an end, and for many short ranges", () => {
    const bounds = { epoch: 1, tail: 1, seq: 1_000_000 };
    expect([...slicesOf([[1, unbounded]], bounds)]).toHaveLength(500);
    const odd = Array.from({ length: 10_000 }, (_, index): [number, number] => [2 * index + 1, 2 * index + 1]);
    for (const slice of slicesOf(odd, bounds)) expect(slice.length).toBeLessThanOrEqual(500);
  });

  test("are none for a feed that was never written to", () => {
    expect([...slicesOf([[1, unbounded]], { epoch: 1, tail: 1, seq: 0 })]).toEqual([]);
  });
});

interface Request {
  readonly mark?: Parameters<TestCore["mark"]>[1];
  readonly delete?: Parameters<TestCore["delete"]>[1];
}

describe("A request that changes 9,000 messages", () => {
  test.each<[string, Request]>([
    ["MarkRead of a category", { mark: { categories: ["odd"] } }],
    ["MarkRead of a category as unread", { mark: { categories: ["odd"], unread: true } }],
    ["MarkRead of the oldest", { mark: { categories: ["odd"], target: { case: "oldest" as const, value: 1000 } } }],
    ["DeleteMessages of a category", { delete: { category: "odd" } }],
  ])("selects at most 2,000 at once for %s", async (_what, request) => {
    const found: number[] = [];
    const node = await startTestCore({
      async around(method, call) {
        const answer = await call();
        if (method === "select") found.push((answer as unknown as unknown[]).length);
        return answer;
      },
    });
    const ann = userOf("acme");
    await node.unread(ann);
    const each = (index: number) => ({ kind: Kind.NOTIFICATION, category: index % 3 === 0 ? "even" : "odd" });
    for (let round = 0; round < 9; round++) await node.publishMany("acme", toUser("ann"), 1000, each);
    if (request.mark?.unread) await node.markAll(ann);
    found.length = 0;
    const { changed, unread } = await (request.mark
      ? node.mark(ann, request.mark)
      : node.delete(ann, request.delete ?? {}));
    const all = request.mark?.target ? 1000 : 5994;
    expect(changed).toBe(all);
    expect(unread.byCategory).toEqual(
      request.mark?.unread ? { odd: 5994 } : { even: 3006, ...(all === 1000 ? { odd: 4994 } : {}) },
    );
    expect(Math.max(...found)).toBeLessThanOrEqual(2000);
    await node.close();
  });
});
