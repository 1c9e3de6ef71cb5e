import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { calculate, figuresOf } from "../../scripts/scale.ts";

const document = readFileSync(join(import.meta.dirname, "../../docs/scale.md"), "utf8");

test("The calculated tables of docs/scale.md follow from its figures", () => {
  expect(calculate(document)).toBe(document);
  expect(document.match(/<!-- calculated: \w+ -->\n\| /g)).toHaveLength(3);
});

test("A changed figure changes the calculated tables", () => {
  const other = document.replace("| `streamKb` | 10.2 |", "| `streamKb` | 20.4 |");
  expect(figuresOf(other).streamKb).toBe(20.4);
  expect(calculate(other)).toContain("| 204 GB |");
  expect(calculate(document)).toContain("| 102 GB |");
});

test("The calculation names a figure that is missing or not a number", () => {
  expect(() => calculate(document.replace("| `busUs` | 4.55 |", "| `busUs` | some |"))).toThrow(
    "busUs is not a number",
  );
  expect(() => calculate(document.replace("| `busUs` |", "| `bus` |"))).toThrow("no figure busUs");
});
