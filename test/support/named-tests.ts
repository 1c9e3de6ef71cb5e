/** Tests that documents name: the path of the file in backquotes, a colon, and the name of the test in quotes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./run.ts";

/** A test by its file and name. */
export interface NamedTest {
  readonly file: string;
  readonly name: string;
}

/** The tests that a text names. */
export function namedIn(text = ""): NamedTest[] {
  return [...text.matchAll(/`(test\/[^`]+)`: "([^"]+)"/g)].map(([, file = "", name = ""]) => ({ file, name }));
}

/** The names of the tests of a file. */
export function testsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/\btest(?:\.each\([^)]*\))?\(\s*"([^"]+)"/g)].map(([, name = ""]) => name);
}
