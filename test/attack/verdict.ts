/** What is wrong with the outcome of an attack, and the table of all outcomes. */
import type { AnswerCounts } from "./answers.ts";
import type { Attack } from "./attack.ts";
import type { Times } from "./healthy.ts";
import type { Limits } from "./size.ts";
import type { Outcome } from "./stage.ts";

/** The longest retry delay that an answer may name: `limits.newRoomsPerUser` lets one more room come into being in 50 s. */
const maxRetryMs = 60_000;

/** One sentence for each limit that an outcome exceeds, and for each answer that is wrong or missing. */
export interface Faults {
  /** Of the healthy client's times, which other work of the machine may have caused. */
  readonly times: readonly string[];
  /** All others. */
  readonly others: readonly string[];
}

/** Returns what is wrong with the outcome of an attack. */
export function faultsOf(attack: Attack, outcome: Outcome, limits: Limits): Faults {
  const { before, during, memory, answers, failures, errors } = outcome;
  return {
    times: timeFaults(before, during, limits),
    others: [
      ...memoryFaults(memory, limits),
      ...answerFaults(attack, answers),
      ...failures.slice(0, 3).map((failure) => `the healthy client failed: ${failure}`),
      ...errors.slice(0, 3).map((line) => `the server logged an error: ${line.slice(0, 400)}`),
    ],
  };
}

function timeFaults(before: Times, during: Times, { ratio, floor }: Limits): string[] {
  const limitOf = (base: number, least: number) => Math.max(base * ratio, least);
  const all = [
    ["the median of deliveries", before.p50, during.p50, floor.p50],
    ["p99 of deliveries", before.p99, during.p99, floor.p99],
    ["the median of ListUnread", before.listP50, during.listP50, floor.list],
  ] as const;
  return all
    .filter(([, quiet, loud, least]) => loud > limitOf(quiet, least))
    .map(
      ([what, quiet, loud, least]) =>
        `${what} went from ${quiet.toFixed(1)} to ${loud.toFixed(1)} ms, over ${limitOf(quiet, least).toFixed(1)} ms`,
    );
}

function memoryFaults({ before, peak, after }: Outcome["memory"], { growthMb }: Limits): string[] {
  return [
    ...(peak - before > growthMb ? [`memory grew from ${before} to ${peak} MB, over ${growthMb} MB more`] : []),
    ...(after - before > growthMb ? [`memory stayed at ${after} MB, over ${growthMb} MB more than ${before}`] : []),
  ];
}

function answerFaults({ must, may = [], most = {} }: Attack, answers: AnswerCounts): string[] {
  const missing = must.filter((kind) => answers[kind] === undefined);
  const wrong = Object.keys(answers).filter((kind) => !must.includes(kind) && !may.includes(kind));
  const many = Object.entries(most).filter(([kind, count]) => (answers[kind]?.count ?? 0) > count);
  const late = Object.entries(answers).filter(
    ([, { retryMs }]) => retryMs && !(retryMs[0] > 0 && retryMs[1] <= maxRetryMs),
  );
  return [
    ...missing.map((kind) => `no answer was: ${kind}`),
    ...wrong.map((kind) => `${answers[kind]?.count} answers were: ${kind}`),
    ...many.map(([kind, count]) => `${answers[kind]?.count} answers, over ${count}, were: ${kind}`),
    ...late.map(([kind, { retryMs }]) => `the retry delays of ${kind} were ${retryMs?.join(" to ")} ms`),
  ];
}

const headings = [
  "attack",
  "p50 before → during, ms",
  "p99 before → during, ms",
  "ListUnread before → during, ms",
  "RSS before → peak → after, MB",
  "answers",
];

/** Formats outcomes as a table. */
export function tableOf(outcomes: readonly (readonly [name: string, outcome: Outcome])[]): string {
  const rows = [headings, ...outcomes.map(([name, outcome]) => rowOf(name, outcome))];
  const widths = headings.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function rowOf(name: string, { before, during, memory, answers }: Outcome): string[] {
  const times = (quiet: number, loud: number) => `${quiet.toFixed(1)} → ${loud.toFixed(1)}`;
  return [
    name,
    times(before.p50, during.p50),
    times(before.p99, during.p99),
    times(before.listP50, during.listP50),
    `${memory.before} → ${memory.peak} → ${memory.after}`,
    Object.entries(answers)
      .map(([kind, { count, retryMs }]) => `${count} × ${kind}${retryMs ? ` after ${retryMs.join("–")} ms` : ""}`)
      .join("; "),
  ];
}
