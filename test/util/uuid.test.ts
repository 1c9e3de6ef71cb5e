import { describe, expect, test } from "vitest";
import { createIds } from "../../src/util/uuid.ts";
import { FakeClock, seededRandom } from "../support/clock.ts";

/** The parts of a UUIDv7 (RFC 9562, section 5.7). */
const pattern = /^([0-9a-f]{8})-([0-9a-f]{4})-7([0-9a-f]{3})-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

function timeOf(id: string): number {
  const [, high = "", low = ""] = pattern.exec(id) ?? [];
  return Number.parseInt(high + low, 16);
}

function expectAscending(ids: readonly string[]): void {
  for (let index = 1; index < ids.length; index++)
    expect((ids[index - 1] as string) < (ids[index] as string)).toBe(true);
}

describe("Ids", () => {
  test("have the version, the variant and the time of RFC 9562", () => {
    const clock = new FakeClock();
    const next = createIds(clock, seededRandom());
    for (let index = 0; index < 200; index++) {
      const id = next();
      expect(id).toMatch(pattern);
      expect(timeOf(id)).toBe(clock.now());
      clock.set(clock.now() + 1);
    }
  });

  test("ascend within a millisecond, however many are made in it", () => {
    const clock = new FakeClock();
    const next = createIds(clock, seededRandom());
    const ids = Array.from({ length: 20_000 }, next);
    expectAscending(ids);
    // Ids beyond the 12-bit counter take later milliseconds, and no more of them than needed.
    expect(timeOf(ids.at(-1) as string) - clock.now()).toBeLessThanOrEqual(Math.ceil(20_000 / 4096));
  });

  test("ascend when the clock steps back, stands still or jumps ahead", () => {
    const clock = new FakeClock();
    const next = createIds(clock, seededRandom());
    const ids: string[] = [];
    for (const jump of [0, -10_000, 1, 0, 9_000, -1, 5_000, -86_400_000, 100_000_000]) {
      clock.set(clock.now() + jump);
      for (let index = 0; index < 10; index++) ids.push(next());
    }
    expectAscending(ids);
  });

  test("of two generators with the same clock are all different", () => {
    const clock = new FakeClock();
    const generators = [createIds(clock, seededRandom(1)), createIds(clock, seededRandom(2))];
    const ids = generators.flatMap((next) => Array.from({ length: 1000 }, next));
    expect(new Set(ids).size).toBe(2000);
  });
});
