import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GapDetector } from "../../../src/adapters/redis/gap-detector.ts";

const shards = 4;

function build() {
  const changes: string[] = [];
  return { changes, gaps: new GapDetector((node, change) => changes.push(`${node} ${change}`)) };
}

function heartbeat(sent: number[], { node = "a", leaves = false } = {}) {
  return { node, leaves, sent: Array.from({ length: shards }, (_, shard) => sent[shard] ?? 0) };
}

describe("GapDetector", () => {
  test("reports no gap when every message arrives, in whatever order between two checks", () => {
    const { gaps } = build();
    gaps.heartbeat(heartbeat([]), 0);
    for (const n of [2, 1, 3, 5]) gaps.received("a", 0, n, 1);
    gaps.heartbeat(heartbeat([5]), 2);
    expect(gaps.check(3).missing.size).toBe(0);
    gaps.received("a", 0, 4, 4);
    expect(gaps.check(500).missing.size).toBe(0);
    expect(gaps.check(1000).missing.size).toBe(0);
  });

  test("reports a message lost between others, and by the heartbeat the very last one, once each", () => {
    const { gaps } = build();
    gaps.heartbeat(heartbeat([]), 0);
    for (const n of [1, 3]) gaps.received("a", 1, n, 1);
    gaps.heartbeat(heartbeat([0, 3, 7]), 2);
    gaps.check(3);
    expect([...gaps.check(500).missing]).toEqual([1, 2]);
    expect(gaps.check(1000).missing.size).toBe(0);
    gaps.received("a", 1, 4, 1001);
    gaps.check(1500);
    expect(gaps.check(2000).missing.size).toBe(0);
  });

  test("reports what a node sent before it was first heard, unless that was its first message", () => {
    const { gaps } = build();
    gaps.connected(0);
    gaps.heartbeat(heartbeat([0, 0, 3]), 3_000);
    gaps.received("b", 1, 9, 3_000);
    gaps.received("c", 3, 1, 3_000);
    expect([...gaps.check(3_001).missing]).toEqual([2, 1]);
    expect(gaps.check(3_500).missing.size).toBe(0);
  });

  test("reports what was sent before it was connected as uncertain", () => {
    const { gaps } = build();
    expect(gaps.connected(0)).toBe(true);
    gaps.heartbeat(heartbeat([0, 0, 3]), 1_000);
    gaps.received("b", 1, 9, 2_000);
    gaps.received("b", 1, 11, 2_000);
    const { missing, uncertain } = gaps.check(2_001);
    expect([...missing]).toEqual([]);
    expect([...uncertain]).toEqual([2, 1]);
    // From the first message received on, losses are certain.
    const later = gaps.check(2_501);
    expect([[...later.missing], [...later.uncertain]]).toEqual([[1], []]);
    expect(gaps.connected(3_500)).toBe(false);
  });

  test("checks the messages of a node that leaves at once, and does not count it as silent", () => {
    const { gaps, changes } = build();
    gaps.heartbeat(heartbeat([]), 0);
    gaps.heartbeat(heartbeat([1], { leaves: true }), 1);
    expect([...gaps.check(2).missing]).toEqual([0]);
    expect(gaps.check(10_000)).toMatchObject({ silent: 0 });
    expect(changes).toEqual([]);
  });

  test("counts silent nodes until they are heard again, and gives them up after 5 minutes", () => {
    const { gaps, changes } = build();
    gaps.heartbeat(heartbeat([]), 0);
    gaps.heartbeat(heartbeat([], { node: "b" }), 0);
    expect(gaps.check(2999).silent).toBe(0);
    expect(gaps.check(3000).silent).toBe(2);
    gaps.heartbeat(heartbeat([1], { node: "b" }), 3500);
    expect(gaps.check(4000)).toMatchObject({ silent: 1, gaveUp: false });
    expect(changes).toEqual(["a silent", "b silent", "b back"]);
    expect([...gaps.check(4500).missing]).toEqual([0]);
    gaps.resetSilence(290_000);
    expect(gaps.check(301_000).gaveUp).toBe(false);
    expect(gaps.check(590_000)).toMatchObject({ silent: 2, gaveUp: true });
    expect(gaps.check(590_500)).toMatchObject({ silent: 0, gaveUp: false });
  });

  test("reports each message that is dropped within two checks of its heartbeat, and no other", () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.boolean(), { maxLength: 5 }), { maxLength: 20 }), (rounds) => {
        const { gaps } = build();
        gaps.heartbeat(heartbeat([]), 0);
        let n = 0;
        let time = 0;
        for (const round of rounds) {
          const first = n + 1;
          n += round.length;
          for (const [index, arrives] of [...round.entries()].reverse()) {
            if (arrives) gaps.received("a", 0, first + index, time);
          }
          gaps.heartbeat(heartbeat([n]), time);
          gaps.check(time + 500);
          time += 1000;
          const found = gaps.check(time).missing.has(0);
          expect(found).toBe(round.includes(false));
        }
      }),
    );
  });
});
