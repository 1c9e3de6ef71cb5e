import { describe, expect, test } from "vitest";
import type { FindingKind } from "./check/checker.ts";
import { simulate } from "./simulation.ts";
import { correct, type Variant } from "./variant.ts";

/** A variant with one known mistake. */
interface Mutant {
  readonly name: string;
  readonly change: Partial<Variant>;
  /** The findings by which the mistake shows. */
  readonly findings: readonly FindingKind[];
  /** The number of seeds within which the simulation must find it. */
  readonly within: number;
}

const mutants: readonly Mutant[] = [
  { name: "the end of a feed by a local read", change: { feedEnd: "local" }, findings: ["hole"], within: 1_000 },
  { name: "readers at local read concern", change: { reads: "local" }, findings: ["diverged", "missed"], within: 300 },
  {
    name: "an acknowledgement before a majority has the message",
    change: { acknowledge: "primary" },
    findings: ["lost"],
    within: 200,
  },
  { name: "timestamps as cursors", change: { cursor: "time" }, findings: ["lost", "missed"], within: 300 },
  {
    name: "retention that removes the last document of a feed",
    change: { trim: "nothing" },
    findings: ["missed"],
    within: 100,
  },
  {
    name: "notices before a majority has the message",
    change: { notify: "written" },
    findings: ["missed", "duplicate"],
    within: 500,
  },
  { name: "a second batch in flight", change: { inFlight: "pipelined" }, findings: ["missed"], within: 200 },
  { name: "skipping a seq that another node took", change: { takenSeq: "skip" }, findings: ["hole"], within: 1_000 },
  { name: "a stale end of a trimmed feed", change: { staleEnd: "trusted" }, findings: ["missed"], within: 100 },
  {
    name: "reads answered by a deposed primary",
    change: { deposedPrimary: "answers" },
    findings: ["error", "badge"],
    within: 300,
  },
  {
    name: "missed notices that are not reported",
    change: { missedNotices: "silent" },
    findings: ["missed"],
    within: 100,
  },
  {
    name: "nodes that go by their own clocks",
    change: { time: "node" },
    findings: ["time"],
    within: 100,
  },
];

const whole = process.env.TIDINGS_TEST_SEEDS !== undefined;
if (!whole) console.log("skipped: known mistakes, which the simulation has to find (npm run test:simulation)");

describe.runIf(whole)("The simulation finds", () => {
  for (const { name, change, findings: expected, within } of mutants) {
    test(`${name}, as ${expected.join(" or ")}, within ${within} seeds`, async () => {
      let seed = 0;
      for (let found = false; !found && seed < within; ) {
        const { findings } = await simulate(++seed, { ...correct, ...change });
        found = findings.some(({ kind }) => expected.includes(kind));
        if (found) process.stdout.write(`${name}: seed ${seed}\n`);
      }
      expect(seed, "the first seed that shows the mistake").toBeLessThan(within);
    }, 120_000);
  }
});
