import fc from "fast-check";
import { describe, test } from "vitest";
import { runScript, step } from "./inbox-run.ts";

describe("In any script with three devices of a user, another user and another tenant", () => {
  test("every badge agrees with the store, and every message is seen exactly once", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 50, size: "max" }),
        fc.nat(),
        fc.nat({ max: 3 }),
        runScript,
      ),
      { numRuns: 30 },
    );
  }, 120_000);
});
