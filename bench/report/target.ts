import { formatNumber } from "../measure/figure.ts";
import type { Table } from "./table.ts";

/** A limit that a figure has to meet. */
export interface Target {
  readonly name: string;
  readonly bound: "at most" | "at least";
  readonly limit: number;
  /** The measured figure; NaN when it was not measured. */
  readonly measured: number;
  /** The unit, written after limit and figure, such as ` ×` or ` ms`. */
  readonly unit: string;
}

/** A table of the targets, with the measured figures and whether they meet the limits. */
export function targetTable(targets: readonly Target[]): Table {
  return [
    ["figure", "target", "measured", ""],
    ...targets.map((target) => [
      target.name,
      `${target.bound} ${formatNumber(target.limit)}${target.unit}`,
      `${formatNumber(target.measured)}${target.unit}`,
      verdict(target),
    ]),
  ];
}

function verdict({ bound, limit, measured }: Target): string {
  if (Number.isNaN(measured)) return "not measured";
  const excess = bound === "at most" ? measured / limit - 1 : 1 - measured / limit;
  return excess <= 0 ? "reached" : `missed by ${formatNumber(excess * 100)} %`;
}
