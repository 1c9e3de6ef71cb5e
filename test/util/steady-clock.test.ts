import { describe, expect, test } from "vitest";
import { quarantineMs, SteadyClock } from "../../src/util/steady-clock.ts";
import { FakeClock } from "../support/clock.ts";

const hour = 3_600_000;

function build() {
  const clock = new FakeClock();
  const log: string[] = [];
  const steady = new SteadyClock(clock, {
    jumped: (milliseconds) => log.push(`jumped ${milliseconds}`),
    believed: () => log.push("believed"),
  });
  return { clock, log, steady, ahead: () => steady.now() - clock.now() };
}

describe("SteadyClock", () => {
  test("is settled once it has run evenly for a quarantine", async () => {
    const { clock, steady } = build();
    await clock.advance(quarantineMs - 1);
    expect(steady.isSettled).toBe(false);
    await clock.advance(1);
    expect(steady.isSettled).toBe(true);
  });

  test("follows small steps of the clock, and time that passes unseen", async () => {
    const { clock, log, steady, ahead } = build();
    for (const step of [5_000, -5_000, 59_999, -59_999]) {
      clock.jump(step);
      expect(ahead()).toBe(0);
    }
    await clock.advance(400 * 24 * hour);
    expect(ahead()).toBe(0);
    expect(steady.isSettled).toBe(true);
    expect(log).toEqual([]);
  });

  test("goes on as before while a jump ahead has not lasted, and then follows it", async () => {
    const { clock, log, steady, ahead } = build();
    await clock.advance(quarantineMs);
    clock.jump(hour);
    expect(ahead()).toBe(-hour);
    expect(steady.isSettled).toBe(false);
    await clock.advance(quarantineMs - 1);
    expect(ahead()).toBe(-hour);
    await clock.advance(1);
    expect(ahead()).toBe(0);
    expect(steady.isSettled).toBe(true);
    expect(log).toEqual([`jumped ${hour}`, "believed"]);
  });

  test("waits anew after each jump ahead", async () => {
    const { clock, steady, ahead } = build();
    await clock.advance(quarantineMs);
    for (let jumps = 1; jumps <= 3; jumps++) {
      clock.jump(hour);
      expect(ahead()).toBe(-jumps * hour);
      await clock.advance(quarantineMs - 1);
      expect(ahead()).toBe(-jumps * hour);
    }
    expect(steady.isSettled).toBe(false);
  });

  test("follows the clock back at once", async () => {
    const { clock, log, steady, ahead } = build();
    await clock.advance(quarantineMs);
    clock.jump(-hour);
    expect(ahead()).toBe(0);
    expect(steady.isSettled).toBe(true);
    // To correct that is a jump ahead again.
    clock.jump(hour);
    expect(ahead()).toBe(-hour);
    expect(log).toEqual([`jumped ${-hour}`, `jumped ${hour}`]);
  });

  test("is as before when a jump was undone", async () => {
    const { clock, steady, ahead } = build();
    await clock.advance(quarantineMs);
    clock.jump(hour);
    expect(ahead()).toBe(-hour);
    clock.jump(-hour);
    expect(ahead()).toBe(0);
    expect(steady.isSettled).toBe(true);
  });
});
