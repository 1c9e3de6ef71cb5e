import { describe, expect, test } from "vitest";
import type { FindingKind } from "./checker.ts";
import { right, type Wiring } from "./wiring.ts";
import { simulate } from "./world.ts";

/** A known mistake, what it does to users, and within how many seeds that is to be seen. */
interface Mutant {
  readonly name: string;
  readonly change: Partial<Wiring>;
  readonly harm: readonly FindingKind[];
  readonly within: number;
}

const mutants: readonly Mutant[] = [
  { name: "the head from a local read", change: { head: "local" }, harm: ["hole"], within: 1_000 },
  { name: "readers at local concern", change: { reads: "local" }, harm: ["changed", "missed"], within: 300 },
  { name: "answers before a majority has it", change: { answer: "primary" }, harm: ["lost"], within: 200 },
  { name: "ids of time as cursor", change: { cursor: "time" }, harm: ["lost", "missed"], within: 300 },
  { name: "retention that forgets the head", change: { trim: "nothing" }, harm: ["missed"], within: 100 },
  { name: "notices before a majority has it", change: { announce: "written" }, harm: ["missed", "twice"], within: 500 },
  { name: "a second batch in flight", change: { flight: "pipelined" }, harm: ["missed"], within: 200 },
  { name: "skipping a seq that another took", change: { taken: "skip" }, harm: ["hole"], within: 1_000 },
  { name: "a stale head after trimming", change: { stale: "trusted" }, harm: ["missed"], within: 100 },
  { name: "readers of a deposed primary", change: { deposed: "answers" }, harm: ["alarm", "badge"], within: 300 },
  { name: "losses that nobody is told of", change: { lost: "silent" }, harm: ["missed"], within: 100 },
];

describe("the simulation notices", () => {
  for (const { name, change, harm, within } of mutants) {
    test(`${name}: ${harm.join(" or ")} within ${within} seeds`, async () => {
      let seed = 0;
      for (let found = false; !found && seed < within; ) {
        const { findings } = await simulate(++seed, { ...right, ...change });
        found = findings.some(({ kind }) => harm.includes(kind));
        if (found) process.stdout.write(`${name}: seed ${seed}\n`);
      }
      expect(seed, "seeds until it was noticed").toBeLessThan(within);
    }, 120_000);
  }
});
