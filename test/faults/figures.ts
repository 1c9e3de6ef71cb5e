/** The figures of a run: faults, traffic and findings. */
import type { Finding, History } from "./history.ts";
import { countCodes, type Publishers } from "./publishers.ts";
import type { Subscriber } from "./subscribers.ts";

/** Figures by name. */
export type Figures = Readonly<Record<string, number | string>>;

/** The calls and deliveries of all clients. */
export function trafficOf(
  { publishes, answers, failures, duplicates }: Publishers,
  subscribers: readonly Subscriber[],
  { views }: History,
): Figures {
  const lists = views.filter(({ kind }) => kind === "list");
  const answered = new Set(answers.map(({ key }) => key));
  const listed = new Set(lists.flatMap(({ entries }) => entries.map(({ key }) => key)));
  return {
    "publishes attempted": publishes.length,
    "publishes answered": answered.size,
    ...countCodes(failures),
    "answered as duplicates": duplicates,
    "stored, never answered": [...listed].filter((key) => !answered.has(key)).length,
    "messages listed": lists.reduce((sum, { entries }) => sum + entries.length, 0),
    subscribers: subscribers.length,
    "streams opened": subscribers.reduce((sum, { streams }) => sum + streams, 0),
    deliveries: views.reduce((sum, { kind, entries }) => sum + (kind === "stream" ? entries.length : 0), 0),
  };
}

/** The numbers of violations that the checker found. */
export function findingsOf(findings: readonly Finding[]): Figures {
  const found = (...kinds: Finding["kind"][]) => findings.filter(({ kind }) => kinds.includes(kind)).length;
  return {
    lost: found("lost", "missed", "hole"),
    duplicates: found("twice", "changed"),
    "out of order": found("reordered", "overtaken"),
    "other violations": found("phantom", "misdirected", "mark", "badge", "count"),
  };
}

/** The sums of figures of parallel runs. Of a figure that is a text, the first one is taken. */
export function sumOf(runs: readonly Figures[]): Figures {
  const sums: Record<string, number | string> = {};
  for (const [name, value] of runs.flatMap((figures) => Object.entries(figures))) {
    const sum = sums[name];
    if (sum === undefined) sums[name] = value;
    else if (typeof sum === "number" && typeof value === "number") sums[name] = sum + value;
  }
  return sums;
}

/** Formats figures as lines. */
export function table(figures: Figures): string {
  const width = Math.max(...Object.keys(figures).map(({ length }) => length));
  return Object.entries(figures)
    .map(([name, value]) => `${name.padEnd(width)}  ${value}`)
    .join("\n");
}

/** The smallest value that at least this share of the values does not exceed; 0 without values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
