/** docs/coverage.md says which test shows what: every test that it names is there, and every row is shown. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../support/run.ts";

const rows = readFileSync(join(root, "docs/coverage.md"), "utf8")
  .split("\n")
  .filter((line) => /^\| \d/.test(line))
  .map((line) => line.slice(2, -2).split(" | "));

/** Tests that are named in a text. */
function namedIn(text = ""): { file: string; name: string }[] {
  return [...text.matchAll(/`(test\/[^`]+)`: "([^"]+)"/g)].map(([, file = "", name = ""]) => ({ file, name }));
}

/** Names of the tests of a file. */
function testsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/\btest(?:\.each\([^)]*\))?\(\s*"([^"]+)"/g)].map(([, name = ""]) => name);
}

test("the table has rows 1 to 50, whole, and each has a test or what serves instead", () => {
  expect(rows.map(([number]) => Number(number))).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
  for (const [number, ...cells] of rows) {
    expect.soft(cells.filter(Boolean), `row ${number}`).toHaveLength(4);
    const shown = namedIn(cells[3]).length > 0 || /^Instead: .{20}/.test(cells[3] ?? "");
    expect.soft(shown, `row ${number}`).toBe(true);
  }
});

test("every test that the table names is there, in its row", () => {
  for (const [number, , , , shownBy] of rows) {
    for (const { file, name } of namedIn(shownBy)) {
      expect.soft(testsOf(file), `row ${number}: ${file}`).toContain(name);
      const own = /^row (\d+):/.exec(name);
      if (own) expect.soft(own[1], name).toBe(number);
    }
  }
});

test("every test of this folder that names a row is in the table", () => {
  const files = readdirSync(join(root, "test/acceptance")).filter((name) => name.endsWith(".test.ts"));
  const here = files
    .map((name) => `test/acceptance/${name}`)
    .flatMap((file) => testsOf(file).map((name) => ({ file, name })))
    .filter(({ name }) => name.startsWith("row "));
  expect(here.length).toBeGreaterThan(50);
  const named = rows.flatMap(([, , , , shownBy]) => namedIn(shownBy));
  expect(here.filter((one) => !named.some(({ file, name }) => file === one.file && name === one.name))).toEqual([]);
});
