import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { foregroundClock } from "../../../src/client/connection/foreground-clock.ts";

/** What the machine's two clocks show, in ms. */
const machine = { wall: 1_700_000_000_000, monotonic: 1_000 };

beforeEach(() => {
  vi.spyOn(Date, "now").mockImplementation(() => Math.floor(machine.wall));
  vi.spyOn(performance, "now").mockImplementation(() => machine.monotonic);
  // The clocks jump to the test's.
  foregroundClock.now();
});
afterEach(() => vi.restoreAllMocks());

/** The time that passes for the client while the machine's clocks advance by these. */
function passed(wall: number, monotonic: number): number {
  const before = foregroundClock.now();
  machine.wall += wall;
  machine.monotonic += monotonic;
  return foregroundClock.now() - before;
}

test("The clock goes on when the machine's clock is set back", () => {
  expect(passed(-3 * 3_600_000, 250)).toBeCloseTo(250);
  expect(passed(250, 250)).toBeCloseTo(250);
});

test("The clock counts sleep, whether the monotonic clock of the browser does or not", () => {
  expect(passed(3_600_000, 0)).toBeCloseTo(3_600_000);
  expect(passed(3_600_000, 3_600_000)).toBeCloseTo(3_600_000);
});

test("The clock never steps back, and follows the monotonic clock through every small difference", () => {
  const step = fc.record({ wall: fc.double({ min: -1e9, max: 1e9, noNaN: true }), monotonic: fc.nat(60_000) });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      for (const { wall, monotonic } of steps) {
        const time = passed(wall, monotonic);
        expect(time).toBeGreaterThanOrEqual(monotonic);
        if (wall - monotonic < 1_000) expect(time).toBeCloseTo(monotonic, 3);
      }
    }),
  );
});
