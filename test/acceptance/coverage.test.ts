/** docs/coverage.md names a test for each row: every test that it names exists, and every row names one. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { namedIn, testsOf } from "../support/named-tests.ts";
import { root } from "../support/run.ts";

const rows = readFileSync(join(root, "docs/coverage.md"), "utf8")
  .split("\n")
  .filter((line) => /^\| \d/.test(line))
  .map((line) => line.slice(2, -2).split(" | "));

test("The table of docs/coverage.md has the rows 1 to 50, each with a test or a replacement", () => {
  expect(rows.map(([number]) => Number(number))).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
  for (const [number, ...cells] of rows) {
    expect.soft(cells.filter(Boolean), `row ${number}`).toHaveLength(4);
    const covered = namedIn(cells[3]).length > 0 || /^Instead: .{20}/.test(cells[3] ?? "");
    expect.soft(covered, `row ${number}`).toBe(true);
  }
});

test("Every test that docs/coverage.md names exists, and is in its row", () => {
  for (const [number, , , , tests] of rows) {
    for (const { file, name } of namedIn(tests)) {
      expect.soft(testsOf(file), `row ${number}: ${file}`).toContain(name);
      const own = /^row (\d+):/.exec(name);
      if (own) expect.soft(own[1], name).toBe(number);
    }
  }
});

test("Every acceptance test that names a row is in docs/coverage.md", () => {
  const files = readdirSync(join(root, "test/acceptance")).filter((name) => name.endsWith(".test.ts"));
  const existing = files
    .map((name) => `test/acceptance/${name}`)
    .flatMap((file) => testsOf(file).map((name) => ({ file, name })))
    .filter(({ name }) => name.startsWith("row "));
  expect(existing.length).toBeGreaterThan(50);
  const named = rows.flatMap(([, , , , tests]) => namedIn(tests));
  expect(existing.filter((one) => !named.some(({ file, name }) => file === one.file && name === one.name))).toEqual([]);
});
