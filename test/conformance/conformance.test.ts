import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";
import { testWith } from "../support/require.ts";
import { findTool, pathOf } from "../support/tools.ts";

const root = join(import.meta.dirname, "../..");
const runner = findTool("connectconformance", "go install connectrpc.com/conformance/cmd/connectconformance@v1.0.5");

/** Without `npm run test:conformance`, which runs the whole matrix: only uncompressed and in cleartext. */
const short = ["--run", "**/Compression:COMPRESSION_IDENTITY/TLS:false/**"];
const whole = process.env.TIDINGS_TEST_CONFORMANCE === "whole";

testWith(runner)("The listener and the adapter pass the official conformance suite", { timeout: 600_000 }, async () => {
  const args = [
    "--mode",
    "server",
    "--conf",
    "test/conformance/conformance.yaml",
    "--parallel",
    "8",
    "--max-servers",
    "2",
  ];
  const server = ["--", process.execPath, "test/conformance/server.ts"];
  const { stdout } = await promisify(execFile)(pathOf(runner), [...args, ...(whole ? [] : short), ...server], {
    cwd: root,
    maxBuffer: 1 << 26,
  });
  const [, passed, failed] = /(\d+) passed, (\d+) failed/.exec(stdout) ?? [];
  console.log(`conformance: ${passed} passed, ${failed} failed`);
  expect(Number(passed)).toBeGreaterThan(500);
  expect(Number(failed)).toBe(0);
});
