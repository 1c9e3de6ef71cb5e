/** The blocks of code in the documents. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../support/run.ts";

/** A fenced block. */
export interface Block {
  /** Where it stands, such as `README.md publish`: the document, and the word after the language. */
  readonly place: string;
  /** Such as `ts`; empty where none is named. */
  readonly language: string;
  readonly code: string;
}

/** The documents whose code is checked. */
export const documents: readonly string[] = [
  "README.md",
  "src/client/README.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

/** The text of a document. */
export function readDocument(name: string): string {
  return readFileSync(join(root, name), "utf8");
}

/** All blocks of a document, in their order. */
export function blocksOf(document: string): readonly Block[] {
  return [...readDocument(document).matchAll(/^```(\w*) ?(\w*)\n(.*?)^```$/gms)].map(
    ([, language = "", name = "", code = ""]) => ({ place: `${document} ${name}`, language, code }),
  );
}

/** The commands of a document's `sh` blocks, one each; those that go on over several lines whole. */
export function commandsOf(document: string): readonly string[] {
  return blocksOf(document)
    .filter(({ language }) => language === "sh")
    .flatMap(({ code }) => code.trim().split(/(?<!\\)\n/));
}
