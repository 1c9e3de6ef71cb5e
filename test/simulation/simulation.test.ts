import { describe, expect, test } from "vitest";
import { describeOutcome, firstSeed, seedCount } from "./seeds.ts";
import { simulate } from "./world.ts";

describe("several nodes on a replica set and a bus, with everything that can fail", () => {
  test(`${seedCount} seeds from ${firstSeed}: nothing lost, twice, out of order or left over`, async () => {
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
    // A world in which nothing happens proves nothing.
    expect(answered).toBeGreaterThan(0);
    expect(delivered).toBeGreaterThan(0);
    if (seedCount >= 100) expect(rolledBack).toBeGreaterThan(0);
  }, 3_600_000);

  test("one seed is one story, whatever ran before", async () => {
    const first = await simulate(firstSeed);
    await simulate(firstSeed + 1);
    const again = await simulate(firstSeed);
    expect(again.story).toBe(first.story);
    expect(again.calls).toBe(first.calls);
    expect(first.story.split("\n").length).toBeGreaterThan(20);
  });

  test("another seed is another story", async () => {
    expect((await simulate(firstSeed)).story).not.toBe((await simulate(firstSeed + 1)).story);
  });
});
