import type { Outcome } from "./world.ts";

const one = process.env.TIDINGS_TEST_SEED;

/** The first seed: `TIDINGS_TEST_SEED` plays it alone, `TIDINGS_TEST_FIRST_SEED` begins there. */
export const firstSeed = Number(one ?? process.env.TIDINGS_TEST_FIRST_SEED ?? 1);

/** How many seeds: `TIDINGS_TEST_SEEDS`. */
export const seedCount = one === undefined ? Number(process.env.TIDINGS_TEST_SEEDS ?? 200) : 1;

/** Lines of a story that are shown; the whole of it comes when the seed is played alone. */
const shownLines = one === undefined ? 60 : Number.POSITIVE_INFINITY;

/** What went wrong, how to see it again, and how it came. */
export function describeOutcome({ seed, findings, story }: Outcome): string {
  const lines = story.split("\n");
  return [
    `seed ${seed}: ${findings.length} findings`,
    ...findings.slice(0, 20).map(({ kind, detail }) => `  ${kind}: ${detail}`),
    `replay: TIDINGS_TEST_SEED=${seed} npx vitest run test/simulation/simulation.test.ts`,
    ...(lines.length > shownLines ? [`… ${lines.length - shownLines} lines`] : []),
    ...lines.slice(-shownLines),
  ].join("\n");
}
