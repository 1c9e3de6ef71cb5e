import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GapDetector } from "../../../src/adapters/redis/gap-detector.ts";

const shards = 4;

function build() {
  const told: string[] = [];
  return { told, publishers: new GapDetector((node, change) => told.push(`${node} ${change}`)) };
}

function beat(sent: number[], { node = "a", leaves = false } = {}) {
  return { node, leaves, sent: Array.from({ length: shards }, (_, shard) => sent[shard] ?? 0) };
}

describe("Publishers", () => {
  test("misses nothing where all comes, whatever the order within a look", () => {
    const { publishers } = build();
    publishers.beat(beat([]), 0);
    for (const n of [2, 1, 3, 5]) publishers.heard("a", 0, n, 1);
    publishers.beat(beat([5]), 2);
    expect(publishers.look(3).missing.size).toBe(0);
    publishers.heard("a", 0, 4, 4);
    expect(publishers.look(500).missing.size).toBe(0);
    expect(publishers.look(1000).missing.size).toBe(0);
  });

  test("misses one between others, and the very last one by the heartbeat, once each", () => {
    const { publishers } = build();
    publishers.beat(beat([]), 0);
    for (const n of [1, 3]) publishers.heard("a", 1, n, 1);
    publishers.beat(beat([0, 3, 7]), 2);
    publishers.look(3);
    expect([...publishers.look(500).missing]).toEqual([1, 2]);
    expect(publishers.look(1000).missing.size).toBe(0);
    publishers.heard("a", 1, 4, 1001);
    publishers.look(1500);
    expect(publishers.look(2000).missing.size).toBe(0);
  });

  test("of whom it meets late, misses what was said before, and of a fresh one nothing", () => {
    const { publishers } = build();
    publishers.begin(0);
    publishers.beat(beat([0, 0, 3]), 3_000);
    publishers.heard("b", 1, 9, 3_000);
    publishers.heard("c", 3, 1, 3_000);
    expect([...publishers.look(3_001).missing]).toEqual([2, 1]);
    expect(publishers.look(3_500).missing.size).toBe(0);
  });

  test("has perhaps not heard, and does not miss, what was said before it began itself", () => {
    const { publishers } = build();
    expect(publishers.begin(0)).toBe(true);
    publishers.beat(beat([0, 0, 3]), 1_000);
    publishers.heard("b", 1, 9, 2_000);
    publishers.heard("b", 1, 11, 2_000);
    const { missing, unheard } = publishers.look(2_001);
    expect([...missing]).toEqual([]);
    expect([...unheard]).toEqual([2, 1]);
    // From the first that it heard on, it does.
    const later = publishers.look(2_501);
    expect([[...later.missing], [...later.unheard]]).toEqual([[1], []]);
    expect(publishers.begin(3_500)).toBe(false);
  });

  test("looks at once for the last words of one that leaves, and does not wait for it", () => {
    const { publishers, told } = build();
    publishers.beat(beat([]), 0);
    publishers.beat(beat([1], { leaves: true }), 1);
    expect([...publishers.look(2).missing]).toEqual([0]);
    expect(publishers.look(10_000)).toMatchObject({ silent: 0 });
    expect(told).toEqual([]);
  });

  test("counts the silent until they are heard again, and gives them up after 5 minutes", () => {
    const { publishers, told } = build();
    publishers.beat(beat([]), 0);
    publishers.beat(beat([], { node: "b" }), 0);
    expect(publishers.look(2999).silent).toBe(0);
    expect(publishers.look(3000).silent).toBe(2);
    publishers.beat(beat([1], { node: "b" }), 3500);
    expect(publishers.look(4000)).toMatchObject({ silent: 1, gaveUp: false });
    expect(told).toEqual(["a silent", "b silent", "b back"]);
    expect([...publishers.look(4500).missing]).toEqual([0]);
    publishers.excuse(290_000);
    expect(publishers.look(301_000).gaveUp).toBe(false);
    expect(publishers.look(590_000)).toMatchObject({ silent: 2, gaveUp: true });
    expect(publishers.look(590_500)).toMatchObject({ silent: 0, gaveUp: false });
  });

  test("misses each message that is dropped within two looks of its heartbeat, and none that is not", () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.boolean(), { maxLength: 5 }), { maxLength: 20 }), (rounds) => {
        const { publishers } = build();
        publishers.beat(beat([]), 0);
        let n = 0;
        let time = 0;
        for (const round of rounds) {
          const first = n + 1;
          n += round.length;
          for (const [index, comes] of [...round.entries()].reverse()) {
            if (comes) publishers.heard("a", 0, first + index, time);
          }
          publishers.beat(beat([n]), time);
          publishers.look(time + 500);
          time += 1000;
          const found = publishers.look(time).missing.has(0);
          expect(found).toBe(round.includes(false));
        }
      }),
    );
  });
});
