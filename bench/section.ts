import type { Target } from "./target.ts";

/** Rows of cells; the first is the head. */
export type Table = readonly (readonly string[])[];

/** What one part of the benchmark measured. */
export interface Section {
  readonly tables: readonly Table[];
  readonly targets?: readonly Target[];
  /** SVG texts by file name without extension. */
  readonly charts?: Readonly<Record<string, string>>;
}

/** A table in Markdown, aligned for a terminal as well. */
export function tableText(rows: Table): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length))) ?? [];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const lines = rows.map((row) => line(widths.map((width, column) => (row[column] ?? "").padEnd(width))));
  return lines.toSpliced(1, 0, line(widths.map((width) => "-".repeat(width)))).join("\n");
}
