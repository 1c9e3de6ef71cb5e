/** The kit is judged by clients with faults: the scenario of the rule that a fault breaks has to catch it. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runScenarios, type Verdict } from "../../../src/cli/test-client/run.ts";
import { scenarios } from "../../../src/cli/test-client/scenarios/index.ts";
import { blocksOf } from "../../docs/blocks.ts";
import { root } from "../../support/run.ts";
import { type Fault, faults } from "./faults.ts";

const source = (name: string) => readFileSync(join(import.meta.dirname, name), "utf8");
const plainClient = source("plain-client.ts");
const folder = mkdtempSync(join(tmpdir(), "tidings-faults-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes the plain client with a fault, and returns the path of its program. */
function plant({ edits }: Fault, index: number): string {
  const client = edits.reduce((text, [old, replacement]) => {
    expect(text.split(old).length, `${old} must be in plain-client.ts once`).toBe(2);
    return text.replace(old, () => replacement);
  }, plainClient);
  const own = join(folder, String(index));
  mkdirSync(own);
  // The files import nothing but types from elsewhere, which Node erases.
  writeFileSync(join(own, "package.json"), '{"type":"module"}');
  writeFileSync(join(own, "plain-client.ts"), client);
  writeFileSync(join(own, "plain-program.ts"), source("plain-program.ts"));
  return join(own, "plain-program.ts");
}

function run(program: string, names: readonly string[], parallel: number, deadlineMs: number): Promise<Verdict[]> {
  const chosen = scenarios.filter(({ name }) => names.includes(name));
  const command = [process.execPath, program];
  return runScenarios(chosen, { command, parallel, deadlineMs, report: () => {} });
}

/** The verdicts on the faulty clients. Some run at the same time, because most of them wait for a step that never comes. */
const verdicts = new Map<Fault, Promise<Verdict[]>>();
beforeAll(() => {
  const waiting = [...faults.entries()];
  let free: Promise<unknown>[] = Array.from({ length: 10 }, () => Promise.resolve());
  for (const [index, fault] of waiting) {
    const [first = Promise.resolve(), ...others] = free;
    const verdict = first.then(() => run(plant(fault, index), fault.caughtBy, 2, 6_000));
    verdicts.set(fault, verdict);
    free = [...others, verdict.catch(() => {})];
  }
});

test("A client without a fault passes every scenario, by the commands of docs/clients.md", async () => {
  const commands = blocksOf("docs/clients.md").find(({ place }) => place.endsWith(" kit"))?.code ?? "";
  const { stdout } = await promisify(execFile)("sh", ["-ec", commands], { cwd: root });
  const summaries = [...stdout.matchAll(/^(\d+) of (\d+) scenarios passed$/gm)].map(([, passed, all]) => [passed, all]);
  const all = String(scenarios.length);
  expect(summaries).toEqual([
    [all, all],
    ["2", "2"],
  ]);
});

describe("The kit catches a client that", () => {
  test.each(faults.map((fault) => [fault.name, fault] as const))("%s", async (_, fault) => {
    const found = (await verdicts.get(fault)) ?? [];
    const caught = found.filter(({ status }) => status === "failed").map(({ scenario }) => scenario.name);
    expect(caught.sort()).toEqual([...fault.caughtBy].sort());
  });
});

test("Every scenario catches a fault", () => {
  const caught = new Set(faults.flatMap(({ caughtBy }) => caughtBy));
  expect(scenarios.map(({ name }) => name).filter((name) => !caught.has(name))).toEqual([]);
});
