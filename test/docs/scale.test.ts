import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { calculate, figuresOf } from "../../scripts/scale.ts";

const document = readFileSync(join(import.meta.dirname, "../../docs/scale.md"), "utf8");

test("the tables of docs/scale.md are what its figures come to", () => {
  expect(calculate(document)).toBe(document);
  expect(document.match(/<!-- calculated: \w+ -->\n\| /g)).toHaveLength(3);
});

test("another figure makes other tables", () => {
  const other = document.replace("| `streamKb` | 8.9 |", "| `streamKb` | 17.8 |");
  expect(figuresOf(other).streamKb).toBe(17.8);
  expect(calculate(other)).toContain("| 178 GB |");
  expect(calculate(document)).toContain("| 89 GB |");
});

test("a figure that is no number, or is missing, is named", () => {
  expect(() => calculate(document.replace("| `busUs` | 4.55 |", "| `busUs` | some |"))).toThrow("busUs is no number");
  expect(() => calculate(document.replace("| `busUs` |", "| `bus` |"))).toThrow("no figure busUs");
});
