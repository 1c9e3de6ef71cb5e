import fc from "fast-check";
import { expect, test } from "vitest";
import type { Charge, Rate } from "../../src/ports/rate-limiter.ts";
import { TokenBuckets } from "../../src/util/token-buckets.ts";
import { FakeClock } from "../support/clock.ts";

function charge(rate: Rate, cost: number, key = "a"): Charge {
  return { limit: "test", key, rate, cost };
}

const rates = fc.record({
  perSecond: fc.integer({ min: 1, max: 100_000 }).map((thousandths) => thousandths / 1000),
  burst: fc.integer({ min: 1, max: 200 }),
});
/** Waits, in ms, and costs. */
const steps = fc.array(fc.tuple(fc.nat(5_000), fc.nat(400)), { maxLength: 200 });

test("TokenBuckets let through, over any time, the burst, the rate and the last charge at most", () => {
  fc.assert(
    fc.property(rates, steps, (rate, script) => {
      const clock = new FakeClock();
      const buckets = new TokenBuckets(clock);
      let gained = rate.burst;
      let taken = 0;
      for (const [wait, cost] of script) {
        clock.set(clock.now() + wait);
        gained += (wait / 1000) * rate.perSecond;
        const before = taken;
        if (!buckets.take([charge(rate, cost)])) taken += cost;
        // Only a charge of more than a burst takes more tokens than there are, and then out of a full bucket.
        if (cost <= rate.burst || taken === before) expect(taken).toBeLessThanOrEqual(Math.max(before, gained + 1e-6));
      }
    }),
  );
});

test("TokenBuckets take a refused charge after the delay that they name, and not 1 ms before", () => {
  fc.assert(
    fc.property(rates, steps, fc.integer({ min: 1, max: 400 }), (rate, script, cost) => {
      const clock = new FakeClock();
      const buckets = new TokenBuckets(clock);
      for (const [wait, before] of script) {
        clock.set(clock.now() + wait / 10);
        buckets.take([charge(rate, before)]);
      }
      const refusal = buckets.take([charge(rate, cost)]);
      if (!refusal) return;
      const { retryAfterMs } = refusal;
      clock.set(clock.now() + retryAfterMs - 1);
      if (retryAfterMs > 1) expect(buckets.take([charge(rate, cost)])).toBeDefined();
      clock.set(clock.now() + 1);
      expect(buckets.take([charge(rate, cost)])).toBeUndefined();
    }),
  );
});

test("TokenBuckets neither gain nor lose tokens when the clock is set back", () => {
  const clock = new FakeClock();
  const buckets = new TokenBuckets(clock);
  const rate = { perSecond: 1, burst: 2 };
  expect(buckets.take([charge(rate, 1)])).toBeUndefined();
  clock.set(clock.now() - 3_600_000);
  expect(buckets.take([charge(rate, 1)])).toBeUndefined();
  expect(buckets.take([charge(rate, 1)])).toMatchObject({ retryAfterMs: 1_000 });
  clock.set(clock.now() + 1_000);
  expect(buckets.take([charge(rate, 1)])).toBeUndefined();
});

test("TokenBuckets remember a bounded number of buckets, those that were used last", () => {
  const buckets = new TokenBuckets(new FakeClock());
  const rate = { perSecond: 1, burst: 1 };
  buckets.take([charge(rate, 1, "first")]);
  for (let user = 0; user < 60_000; user++) {
    buckets.take([charge(rate, 1, `user-${user}`)]);
    if (user % 1_000 === 0) expect(buckets.take([charge(rate, 1, "first")])).toBeDefined();
  }
  expect(buckets.size).toBe(50_000);
  expect(buckets.take([charge(rate, 1, "user-59999")])).toBeDefined();
  expect(buckets.take([charge(rate, 1, "user-0")])).toBeUndefined();
});
