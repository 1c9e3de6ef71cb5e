import type { Outcome } from "./simulation.ts";

const single = process.env.TIDINGS_TEST_SEED;

/** The first seed: `TIDINGS_TEST_SEED` runs one seed alone, `TIDINGS_TEST_FIRST_SEED` starts a range. */
export const firstSeed = Number(single ?? process.env.TIDINGS_TEST_FIRST_SEED ?? 1);

/** The number of seeds: `TIDINGS_TEST_SEEDS`. */
export const seedCount = single === undefined ? Number(process.env.TIDINGS_TEST_SEEDS ?? 200) : 1;

/** The number of log lines to print; a seed that runs alone prints all of them. */
const maxLines = single === undefined ? 60 : Number.POSITIVE_INFINITY;

/** Describes a failing seed: the findings, the command that repeats it, and the end of its log. */
export function describeOutcome({ seed, findings, log }: Outcome): string {
  const lines = log.split("\n");
  return [
    `seed ${seed}: ${findings.length} findings`,
    ...findings.slice(0, 20).map(({ kind, detail }) => `  ${kind}: ${detail}`),
    `to repeat it: TIDINGS_TEST_SEED=${seed} npx vitest run test/simulation/simulation.test.ts`,
    ...(lines.length > maxLines ? [`… ${lines.length - maxLines} lines`] : []),
    ...lines.slice(-maxLines),
  ].join("\n");
}
