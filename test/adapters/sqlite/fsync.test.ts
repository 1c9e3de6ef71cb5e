import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeWith } from "../../support/require.ts";
import { upTo } from "../../support/store-messages.ts";
import { type ChildMode, childCommand } from "../../support/store-process.ts";
import { makeFolder } from "../../support/store-sqlite.ts";
import { findEarlyAnswers } from "../../support/store-trace.ts";
import { findTool, pathOf } from "../../support/tools.ts";

const strace = findTool("strace", "apt-get install strace");

/** Runs a store under strace. Returns its answers, and those that came before their sync. */
function traceOf(mode: ChildMode): ReturnType<typeof findEarlyAnswers> {
  const folder = makeFolder();
  try {
    const output = join(folder, "trace");
    const options = ["-f", "-y", "-s", "8192", "-e", "trace=fdatasync,fsync,pwrite64,write", "-o", output];
    execFileSync(pathOf(strace), [...options, ...childCommand(mode, folder)]);
    return findEarlyAnswers(readFileSync(output, "utf8"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describeWith(strace)("The system calls of a store", () => {
  const all = upTo(39, 0);

  test("complete the sync of each message before its answer", () => {
    expect(traceOf("full")).toEqual({ answers: all, early: [] });
  });

  test("would reveal a store that does not wait for the disk", () => {
    const { answers, early } = traceOf("normal");
    expect(answers).toEqual(all);
    expect(early.length).toBeGreaterThan(30);
  });

  test("would reveal a store that answers before its commit", () => {
    expect(traceOf("early")).toEqual({ answers: all, early: all });
  });
});
