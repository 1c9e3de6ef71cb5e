/** The law of port RateLimiter, as it stands in its types, as tests. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Charge, Rate, RateLimiter } from "../ports/rate-limiter.ts";

/** Open nodes of one rate limiter. */
export interface OpenedRateLimiter {
  /** The nodes: at least two where processes share buckets. */
  readonly nodes: readonly [RateLimiter, ...RateLimiter[]];
  /** Closes all of them. */
  close(): Promise<void>;
}

/** Five tokens, and no more within a test. */
const scarce: Rate = { perSecond: 0.001, burst: 5 };

/**
 * Registers the tests of port RateLimiter for an adapter. `make` opens nodes that share their buckets; it is called once for
 * each test. The nodes use the system's clock.
 */
export function rateLimiterContract(name: string, make: () => Promise<OpenedRateLimiter>): void {
  describe(name, () => {
    let opened: OpenedRateLimiter;
    let limiter: RateLimiter;
    beforeEach(async () => {
      opened = await make();
      [limiter] = opened.nodes;
    });
    afterEach(() => opened.close());

    test("lets a burst through at once, and refuses the next with the time until the next token", () => {
      for (let index = 0; index < 5; index++) expect(limiter.take([charge("a", 1)])).toBeUndefined();
      const refusal = limiter.take([charge("a", 1)]);
      expect(refusal?.charge).toEqual(charge("a", 1));
      expect(refusal?.retryAfterMs).toBeGreaterThan(900_000);
      expect(refusal?.retryAfterMs).toBeLessThanOrEqual(1_000_000);
    });

    test("gains tokens at the rate, and no more than a burst", async () => {
      const rate = { perSecond: 200, burst: 2 };
      const start = performance.now();
      let taken = 0;
      while (taken < 20) {
        await expect.poll(() => limiter.take([{ ...charge("a", 1), rate }]), { interval: 1 }).toBeUndefined();
        taken++;
      }
      const seconds = (performance.now() - start) / 1000;
      // The clock of a limiter may count whole milliseconds.
      expect(taken).toBeLessThanOrEqual(rate.burst + (seconds + 0.002) * rate.perSecond);
    });

    test("takes the tokens of all charges or of none", () => {
      expect(limiter.take([charge("empty", 5)])).toBeUndefined();
      expect(limiter.take([charge("full", 3), charge("empty", 1)])?.charge.key).toBe("empty");
      expect(limiter.take([charge("empty", 1), charge("full", 3)])?.charge.key).toBe("empty");
      expect(limiter.take([charge("full", 5)])).toBeUndefined();
    });

    test("keeps buckets apart by limit and key, whatever characters they have", () => {
      const keys = ["", "a", "a\nb", "a:b", "{a}", "__proto__", "日本", "\u{1F600}"];
      for (const key of keys) expect(limiter.take([charge(key, 5)]), key).toBeUndefined();
      for (const key of keys) expect(limiter.take([charge(key, 1)])?.charge.key).toBe(key);
      expect(limiter.take([{ ...charge("a", 5), limit: "other" }])).toBeUndefined();
    });

    test("lets a charge of more than a burst through a full bucket, and leaves it in debt", () => {
      expect(limiter.take([charge("a", 50)])).toBeUndefined();
      expect(limiter.take([charge("a", 1)])?.retryAfterMs).toBeGreaterThan(45_000_000);
      expect(limiter.take([charge("b", 1)])).toBeUndefined();
      expect(limiter.take([charge("b", 50)])).toBeDefined();
    });

    test("lets charges of nothing, and no charges, through", () => {
      expect(limiter.take([charge("a", 50)])).toBeUndefined();
      expect(limiter.take([charge("a", 0)])).toBeUndefined();
      expect(limiter.take([])).toBeUndefined();
    });

    test("does on every node what all of them have spent", async () => {
      expect(limiter.take([charge("a", 5)])).toBeUndefined();
      let allowed = 0;
      for (const node of opened.nodes.slice(1)) {
        const isAllowed = () => {
          const refusal = node.take([charge("a", 1)]);
          if (refusal === undefined) allowed++;
          return refusal === undefined;
        };
        await expect.poll(isAllowed, { interval: 5, timeout: 5_000 }).toBe(false);
      }
      // A burst for each further node, at most.
      expect(allowed).toBeLessThanOrEqual(5 * (opened.nodes.length - 1));
      for (const node of opened.nodes) expect(node.take([charge("b", 1)])).toBeUndefined();
    });

    test("can be used and closed again after it is closed", async () => {
      await limiter.close();
      expect(limiter.take([charge("a", 1)])).toBeUndefined();
      await limiter.close();
    });
  });
}

function charge(key: string, cost: number): Charge {
  return { limit: "test", key, rate: scarce, cost };
}
