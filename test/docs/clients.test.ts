/** The rules of docs/clients.md, and the scenarios of `tidings test-client`. */
import { expect, test } from "vitest";
import { scenarios } from "../../src/cli/test-client/scenarios/index.ts";
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
