import { plain } from "./figure.ts";
import type { Table } from "./table.ts";

/** What a figure has to reach. */
export interface Target {
  readonly what: string;
  readonly sense: "at most" | "at least";
  readonly limit: number;
  readonly measured: number;
  /** Written after limit and figure, such as ` ×` or ` ms`. */
  readonly unit: string;
}

/** Each target with what was measured and whether that is enough. */
export function targetTable(targets: readonly Target[]): Table {
  return [
    ["what", "target", "measured", ""],
    ...targets.map((target) => [
      target.what,
      `${target.sense} ${plain(target.limit)}${target.unit}`,
      `${plain(target.measured)}${target.unit}`,
      verdict(target),
    ]),
  ];
}

function verdict({ sense, limit, measured }: Target): string {
  if (Number.isNaN(measured)) return "not measured";
  const missed = sense === "at most" ? measured / limit - 1 : 1 - measured / limit;
  return missed <= 0 ? "reached" : `missed by ${plain(missed * 100)} %`;
}
