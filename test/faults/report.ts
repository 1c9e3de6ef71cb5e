/** The figures that a test prints at its end, and passes on to `npm run test:faults -- --write`. */
import { appendFileSync } from "node:fs";
import { onTestFinished } from "vitest";
import { type Figures, table } from "./figures.ts";
import { seed } from "./random.ts";

/** A line of JSON in the file that TIDINGS_FAULTS_REPORT names. */
export interface Reported {
  /** The name of the test's file, and of its markers in docs/reliability.md. */
  readonly part: string;
  readonly test: string;
  readonly passed: boolean;
  readonly seconds: number;
  readonly figures: Figures;
}

const file = process.env.TIDINGS_FAULTS_REPORT;

/** Prints the figures of the current test, and reports them with the result of the test when it has finished. */
export function report(part: string, figures: Figures): void {
  console.log(table({ ...figures, seed }));
  if (file === undefined) return;
  onTestFinished(({ task }) => {
    const { state, startTime = Date.now() } = task.result ?? {};
    const passed = state === "pass";
    const seconds = Math.round((Date.now() - startTime) / 1000);
    const line: Reported = { part, test: task.name, passed, seconds, figures };
    appendFileSync(file, `${JSON.stringify(line)}\n`);
  });
}
