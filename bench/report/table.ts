/** Rows of cells. The first row is the header. */
export type Table = readonly (readonly string[])[];

/** Formats a table as Markdown, with aligned columns so that it is readable in a terminal, too. */
export function tableText(rows: Table): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length))) ?? [];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const lines = rows.map((row) => line(widths.map((width, column) => (row[column] ?? "").padEnd(width))));
  return lines.toSpliced(1, 0, line(widths.map((width) => "-".repeat(width)))).join("\n");
}
