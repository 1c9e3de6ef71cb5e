/** Every attack against a server of its own process, beside a healthy client; and proof that the checks can fail. */
import { afterAll, describe, expect, test } from "vitest";
import type { Attack } from "./attack.ts";
import { attacks, proofs } from "./attacks/index.ts";
import { limits } from "./size.ts";
import { carryOut, closeStage, type Outcome } from "./stage.ts";
import { faultsOf, tableOf } from "./verdict.ts";

const outcomes: [string, Outcome][] = [];

afterAll(async () => {
  await closeStage();
  console.log(tableOf(outcomes));
});

/** Times over a limit are measured this often: what else the machine did is over by then, and a fault is not. */
const mostRuns = 3;

/** Carries out an attack and returns what is wrong with its outcome. */
async function attempt(attack: Attack): Promise<readonly string[]> {
  for (let run = 1; ; run++) {
    const outcome = await carryOut(attack);
    const { times, others } = faultsOf(attack, outcome, limits);
    if (times.length > 0 && others.length === 0 && run < mostRuns) continue;
    outcomes.push([attack.name, outcome]);
    return [...times, ...others];
  }
}

describe("A healthy client is served, memory is bounded and the answers are right under", () => {
  // Not test.each, which shortens long names.
  for (const attack of attacks) test(attack.name, async () => expect(await attempt(attack)).toEqual([]));
});

// A check that cannot fail shows nothing.
describe("With its limit switched off, the check fails for", () => {
  test("HTTP/2 requests that are reset at once", async () => {
    const outcome = await carryOut(proofs.someResets, { "rapid-resets": "1000000000" });
    expect(faultsOf(proofs.someResets, outcome, limits).times.join("\n")).toContain("deliveries went from");
  });

  test("requests whose headers arrive byte by byte", async () => {
    const outcome = await carryOut(proofs.slowHeaders, { "headers-timeout": "30s" });
    expect(faultsOf(proofs.slowHeaders, outcome, limits).others.join("\n")).toContain("answers were: still open");
  });
});
