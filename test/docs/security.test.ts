/** docs/security.md names tests for each promise: every test that it names exists. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { attacks } from "../attack/attacks/index.ts";
import { namedIn, testsOf } from "../support/named-tests.ts";
import { root } from "../support/run.ts";

const text = readFileSync(join(root, "docs/security.md"), "utf8");
const promises = text.slice(text.indexOf("\n## Promises"), text.indexOf("\n## Residual risks"));
const rows = promises.split("\n").filter((line) => /^\| [A-Z]/.test(line) && !line.startsWith("| Promise |"));

test("Every promise of docs/security.md names a test", () => {
  expect(rows.length).toBeGreaterThan(15);
  for (const row of rows) expect.soft(namedIn(row).length, row.slice(0, 80)).toBeGreaterThan(0);
});

test("Every test that docs/security.md names exists", () => {
  for (const { file, name } of namedIn(text)) {
    const names = file === "test/attack/attack.test.ts" ? attacks.map((attack) => attack.name) : testsOf(file);
    expect.soft(names, file).toContain(name);
  }
});
