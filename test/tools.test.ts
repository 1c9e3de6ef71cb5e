/** On a machine without any tool, each test file skips what it cannot run and says why; none is left without a test. */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { root } from "./support/run.ts";

const folder = join(root, "test");

/** Test files that import the search for tools, directly or not. */
function filesWithTools(): string[] {
  const importsOf = (file: string): string[] =>
    [...readFileSync(file, "utf8").matchAll(/from "(\.[^"]+\.ts)"/g)].map(([, path = ""]) => resolve(file, "..", path));
  const tools = join(folder, "support/tools.ts");
  const loads = (file: string, seen = new Set<string>()): boolean => {
    if (file === tools) return true;
    if (seen.has(file) || !file.startsWith(folder)) return false;
    seen.add(file);
    return importsOf(file).some((imported) => loads(imported, seen));
  };
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".test.ts"));
  return names.filter((name) => loads(join(folder, name))).map((name) => `test/${name}`);
}

/** Names of the tests that files register with an empty PATH, by file. None of them is run. */
async function collect(files: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
  const own = await mkdtemp(join(tmpdir(), "tidings-list-"));
  try {
    const report = join(own, "report.json");
    const options = ["--config", join(folder, "support/every-file.vitest.config.ts"), "--testNamePattern", "$^"];
    const reporter = ["--reporter", "json", "--outputFile", report];
    const vitest = [join(root, "node_modules/vitest/vitest.mjs"), "run", ...options, ...reporter, ...files];
    // A fresh environment, without the variables of the run that this test is part of.
    const env = { PATH: own, HOME: own, TIDINGS_TEST_EXAMPLES: "whole" };
    await promisify(execFile)(process.execPath, vitest, { cwd: root, env });
    const { testResults } = JSON.parse(readFileSync(report, "utf8")) as {
      testResults: { name: string; assertionResults: { fullName: string }[] }[];
    };
    return new Map(
      testResults.map(({ name, assertionResults }) => [
        relative(root, name),
        assertionResults.map(({ fullName }) => fullName),
      ]),
    );
  } finally {
    await rm(own, { recursive: true });
  }
}

test("With nothing on PATH, each test file has a test, and names what it lacks", { timeout: 180_000 }, async () => {
  const files = filesWithTools();
  for (const area of ["adapters", "clients", "deploy", "e2e", "faults"])
    expect(files.filter((name) => name.startsWith(`test/${area}/`)).length, area).toBeGreaterThan(0);
  const tests = await collect(files);
  expect([...tests.keys()].sort()).toEqual([...files].sort());
  for (const [name, registered] of tests) {
    expect.soft(registered, name).not.toEqual([]);
    const asks = /\b(describe|test)With\(/.test(readFileSync(join(root, name), "utf8"));
    if (asks) expect.soft(registered.join("\n"), name).toMatch(/\b\S+ is missing: \S/);
  }
});
