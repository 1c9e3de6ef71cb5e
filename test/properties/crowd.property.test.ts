import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { Delivery } from "../../src/stream/delivery.ts";
import type { Frame } from "../../src/wire/frame.ts";
import { seededRandom, ticks } from "../support/clock.ts";
import { withTestCore } from "../support/core.ts";
import { Crowd, HeldBus } from "./crowd.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

test("Each page of a crowd gets what it asked for once and in order, with right totals and one alert per user", async () => {
  const fromBatches = countDeliveries("ofBatch");
  const fromRings = countDeliveries("wanted");
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 20, max: 150 }), fc.nat(), async (steps, seed) => {
      const { fraction } = seededRandom(seed);
      const bus = new HeldBus();
      const wait = () => ticks(Math.floor(fraction() * 3));
      await withTestCore(
        async (node) => {
          const crowd = new Crowd(node, bus, fraction);
          await crowd.start();
          for (let step = 0; step < steps; step++) await crowd.step();
          await crowd.check();
        },
        {
          bus,
          heartbeatMs: 20_000,
          async around(method, call) {
            // Where appends overtake each other, so do their notices, and streams ask the store rather than wait for a batch.
            const isSlow = method !== "append" || fraction() < 0.05;
            if (isSlow) await wait();
            const answer = await call();
            if (isSlow) await wait();
            return answer;
          },
        },
      );
    }),
    { numRuns: 15 },
  );
  expect(fromBatches.count).toBeGreaterThan(fromRings.count);
}, 120_000);

/** Counts the calls by which streams of this process get messages to send. */
function countDeliveries(method: "ofBatch" | "wanted"): { readonly count: number } {
  const counter = { count: 0 };
  const call = Delivery.prototype[method] as (...args: unknown[]) => readonly Frame[] | undefined;
  vi.spyOn(Delivery.prototype, method).mockImplementation(function (this: Delivery, ...args: unknown[]) {
    const frames = call.apply(this, args);
    if (frames && frames.length > 0) counter.count++;
    return frames as readonly Frame[];
  });
  return counter;
}
