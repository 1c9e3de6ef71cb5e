/** Writes docs/performance.md: replaces the tables between its markers and keeps the prose around them. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { machineLine } from "./machine.ts";
import type { Section } from "./section.ts";
import { tableText } from "./table.ts";
import { type Target, targetTable } from "./target.ts";

const docs = join(import.meta.dirname, "../../docs");
const file = join(docs, "performance.md");

/** Writes the tables and charts of a run. Throws when the document has no markers for a section. */
export function writeReport(measured: Readonly<Record<string, Section>>, targets: readonly Target[]): void {
  mkdirSync(join(docs, "charts"), { recursive: true });
  let text = readFileSync(file, "utf8");
  for (const [name, { tables, charts = {} }] of Object.entries(measured)) {
    const images = Object.entries(charts).map(([chart, svg]) => {
      writeFileSync(join(docs, "charts", `${chart}.svg`), svg);
      return `![${chart}](charts/${chart}.svg)`;
    });
    text = replace(text, name, [...tables.map(tableText), ...images].join("\n\n"));
  }
  text = replace(text, "targets", tableText(targetTable(targets)));
  text = replace(text, "machine", `Measured on ${machineLine()}.`);
  writeFileSync(file, text);
}

function replace(text: string, name: string, content: string): string {
  const [open, close] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const [from, to] = [text.indexOf(open), text.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`docs/performance.md lacks the markers ${open} … ${close}`);
  return `${text.slice(0, from + open.length)}\n\n${content}\n\n${text.slice(to)}`;
}
