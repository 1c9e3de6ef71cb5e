/** Rows of cells; the first is the head. */
export type Table = readonly (readonly string[])[];

/** A table in Markdown, aligned for a terminal as well. */
export function tableText(rows: Table): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length))) ?? [];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const lines = rows.map((row) => line(widths.map((width, column) => (row[column] ?? "").padEnd(width))));
  return lines.toSpliced(1, 0, line(widths.map((width) => "-".repeat(width)))).join("\n");
}
