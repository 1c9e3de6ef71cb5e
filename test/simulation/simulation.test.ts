import { describe, expect, test } from "vitest";
import { describeOutcome, firstSeed, seedCount } from "./seeds.ts";
import { simulate } from "./simulation.ts";

describe("The simulation of several nodes with faults of store, bus, nodes and clocks", () => {
  test(`finds nothing lost, duplicated, reordered or leaked in ${seedCount} seeds from ${firstSeed} on`, async () => {
    let answered = 0;
    let delivered = 0;
    let rolledBack = 0;
    for (let seed = firstSeed; seed < firstSeed + seedCount; seed++) {
      const outcome = await simulate(seed);
      if (outcome.findings.length > 0) expect.fail(describeOutcome(outcome));
      answered += outcome.answered;
      delivered += outcome.delivered;
      rolledBack += outcome.rolledBack;
    }
    // Without messages and rollbacks the seeds would prove nothing.
    expect(answered).toBeGreaterThan(0);
    expect(delivered).toBeGreaterThan(0);
    if (seedCount >= 100) expect(rolledBack).toBeGreaterThan(0);
  }, 3_600_000);

  test("is deterministic: a seed repeats its log, whatever ran before", async () => {
    const first = await simulate(firstSeed);
    await simulate(firstSeed + 1);
    const again = await simulate(firstSeed);
    expect(again.log).toBe(first.log);
    expect(again.calls).toBe(first.calls);
    expect(first.log.split("\n").length).toBeGreaterThan(20);
  });

  test("differs from seed to seed", async () => {
    expect((await simulate(firstSeed)).log).not.toBe((await simulate(firstSeed + 1)).log);
  });
});
