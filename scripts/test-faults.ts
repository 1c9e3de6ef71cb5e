/** `npm run test:faults`: runs test/faults with vitest and collects the figures of the tests. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Reported } from "../test/faults/report.ts";
import { writeFaults } from "./write-faults.ts";

const help = `Usage: npm run test:faults -- [options] [file]...

Runs the tests of real processes under faults. Files are chosen by parts of their names, such as kill-nodes.

Options:
  --long      The full length, somewhat more than an hour. Without it the short runs of CI.
  --part <n>  With --long: only this fraction of the faults, such as 0.1.
  --seed <n>  Repeats the random choices of an earlier run.
  --write     With --long: writes the tables of the tests that passed into docs/reliability.md.
  --help      Print this help.`;

const { values, positionals } = parseArgs({
  options: {
    long: { type: "boolean", default: false },
    part: { type: "string" },
    seed: { type: "string" },
    write: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
  allowPositionals: true,
});
if (values.help) {
  console.log(help);
  process.exit(0);
}
const { long, part, write } = values;
if (part !== undefined && !(long && Number(part) > 0 && Number(part) <= 1))
  throw new RangeError("--part needs --long and a number above 0 and up to 1");
if (write && (!long || part !== undefined)) throw new RangeError("--write needs --long without --part");

const root = join(import.meta.dirname, "..");
const seed = values.seed ?? String(Math.floor(Math.random() * 1e9));
const command = [
  "npm run test:faults --",
  ...(long ? ["--long"] : []),
  ...(part === undefined ? [] : ["--part", part]),
  ...["--seed", seed],
  ...positionals,
].join(" ");
const folder = mkdtempSync(join(tmpdir(), "tidings-report-"));
const file = join(folder, "report.jsonl");
const run = { command, commit: commitOf(), seed };

console.log(`${command}\ncommit ${run.commit}, seed ${seed}`);
const vitest = join(root, "node_modules/vitest/vitest.mjs");
const { status } = spawnSync(
  process.execPath,
  [vitest, "run", "--config", "test/faults/vitest.config.ts", ...positionals],
  {
    cwd: root,
    stdio: "inherit",
    env: {
      ...process.env,
      TIDINGS_FAULTS_REPORT: file,
      TIDINGS_FAULTS_SEED: seed,
      ...(long ? { TIDINGS_FAULTS_LONG: "1" } : {}),
      ...(part === undefined ? {} : { TIDINGS_FAULTS_PART: part }),
    },
  },
);
const reports = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").filter(Boolean) : [];
rmSync(folder, { recursive: true });
for (const line of reports) {
  const { part: name, passed, seconds } = JSON.parse(line) as Reported;
  console.log(`${passed ? "passed" : "FAILED"}  ${name}, ${seconds} s`);
}
console.log(`${command}\ncommit ${run.commit}, seed ${seed}`);
if (write)
  writeFaults(
    join(root, "docs/reliability.md"),
    run,
    reports.map((line) => JSON.parse(line) as Reported),
  );
process.exitCode = status ?? 1;

/** The current commit, marked when files other than the docs, which runs are written into, have changed since. */
function commitOf(): string {
  const git = (...args: string[]) => spawnSync("git", args, { cwd: root, encoding: "utf8" }).stdout?.trim() ?? "";
  const changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs") === "" ? "" : ", changed";
  return `${git("rev-parse", "--short=10", "HEAD") || "unknown"}${changed}`;
}
