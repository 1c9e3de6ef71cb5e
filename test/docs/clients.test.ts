/** The rules of docs/clients.md, and the scenarios of `tidings test-client`. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { scenarios } from "../../src/cli/test-client/scenarios/index.ts";
import { root } from "../support/run.ts";
import { readDocument } from "./blocks.ts";

const page = readDocument("docs/clients.md");

/** The scenarios that the page names at each rule, as `rule name`. */
function namedAtRules(): string[] {
  const guide = page.slice(page.indexOf("## Write a robust client"), page.indexOf("## Test a client"));
  return [...guide.matchAll(/^(\d+)\. \*\*(.*?)(?=^\d+\. \*\*|^A library)/gms)].flatMap(([, rule, text = ""]) => {
    const [, list = ""] = /Scenarios?: ([^.]*)\./.exec(text) ?? [];
    return [...list.matchAll(/`([^`]+)`/g)].map(([, name]) => `${rule} ${name}`);
  });
}

test("docs/clients.md names every scenario at the rule that it tests", () => {
  expect(namedAtRules().sort()).toEqual(scenarios.map(({ name, rule }) => `${rule} ${name}`).sort());
});

test("Every scenario has a name of its own, and its rule as one sentence", () => {
  const names = scenarios.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { name, sentence } of scenarios) expect.soft(sentence, name).toMatch(/^[A-Z0-9a-z].*\.$/);
});

describe("docs/clients.md names only what there is", () => {
  /** The columns of the table of names: a language, and where its library is. */
  const libraries = [
    ["TypeScript", "src/client/**/*.ts"],
    ["Python", "sdk/python/src/tidings/**/*.py"],
    ["Go", "sdk/go/*.go"],
  ] as const;

  test.each(libraries.map(([language, files], index) => [language, files, index + 2] as const))(
    "in the library for %s",
    (_, files, column) => {
      const text = globSync(files, { cwd: root })
        .map((file) => readFileSync(join(root, file), "utf8"))
        .join("\n");
      const rows = page.slice(page.indexOf("| client | `connectTidings")).split("\n\n")[0]?.split("\n") ?? [];
      const cells = rows.map((row) => row.split(" | ")[column - 1] ?? "");
      const names = cells.flatMap((cell) => [...cell.matchAll(/`\W*(\w+)[^`]*`/g)].map(([, name = ""]) => name));
      expect(names.length).toBeGreaterThan(10);
      expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
    },
  );
});
