/** Writes docs/reliability.md: replaces the tables between its markers and keeps the prose around them. */
import { readFileSync, writeFileSync } from "node:fs";
import type { Reported } from "../test/faults/report.ts";

/** Identifies a run. */
export interface FaultRun {
  readonly command: string;
  readonly commit: string;
  readonly seed: string;
}

/**
 * Writes the reports of a run between the markers of their parts. A part with a failed test is not written, and is named on
 * stderr. Throws when the document has no markers for a part.
 */
export function writeFaults(file: string, run: FaultRun, reports: readonly Reported[]): void {
  let text = readFileSync(file, "utf8");
  for (const [part, own] of Map.groupBy(reports, (report) => report.part)) {
    if (own.every(({ passed }) => passed)) text = replace(text, part, contentOf(run, own));
    else console.error(`${part} failed, so it is not written`);
  }
  writeFileSync(file, text);
}

function contentOf({ command, commit, seed }: FaultRun, reports: readonly Reported[]): string {
  const seconds = reports.reduce((sum, report) => sum + report.seconds, 0);
  const tables = reports.map(({ test, figures }) => {
    const rows = Object.entries(figures).map(([name, value]) => `| ${name} | ${value} |`);
    return [`**${test}**`, "", "| figure | value |", "| --- | --- |", ...rows].join("\n");
  });
  const date = new Date().toISOString().slice(0, 10);
  return [
    ...tables,
    `${date}, ${Math.round(seconds / 6) / 10} min, commit ${commit}, seed ${seed}: \`${command}\``,
  ].join("\n\n");
}

function replace(text: string, part: string, content: string): string {
  const [open, close] = [`<!-- faults:${part} -->`, `<!-- /faults:${part} -->`];
  const [from, to] = [text.indexOf(open), text.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`docs/reliability.md lacks the markers ${open} … ${close}`);
  return `${text.slice(0, from + open.length)}\n\n${content}\n\n${text.slice(to)}`;
}
