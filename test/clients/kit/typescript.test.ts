/** The TypeScript clients against the server that misbehaves on purpose. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { root } from "../../support/run.ts";
import { surviveTwoHundred } from "../two-hundred.ts";

const program = join(import.meta.dirname, "../programs/typescript.ts");

/** Runs `tidings test-client`, and returns its lines, whether or not all scenarios pass. */
async function testClient(...args: readonly string[]): Promise<string[]> {
  const argv = [join(root, "src/cli/main.ts"), "test-client", ...args];
  const failed = (error: { readonly stdout: string }) => error;
  const { stdout } = await promisify(execFile)(process.execPath, argv, { cwd: root }).catch(failed);
  return stdout.trim().split("\n");
}

/** Runs it on a form of the program, and expects that every scenario of `groups` passes. */
async function expectPass(form: string, ...groups: readonly string[]): Promise<void> {
  const lines = await testClient(...groups, "--step-timeout", "60s", "--", process.execPath, program, form);
  expect(lines.filter((line) => !line.startsWith("ok "))).toEqual([
    expect.stringMatching(/^(\d+) of \1 scenarios passed$/),
  ]);
}

test.each([
  ["Protobuf over Connect", "proto"],
  ["Protobuf over gRPC", "grpc"],
  ["Protobuf over the bridge", "bridge"],
])("The TypeScript client passes every scenario with %s", (_, form) => expectPass(form));

// The small client does not retry a publish.
test.each([
  ["JSON over the bridge", "json"],
  ["JSON over Connect", "json-connect"],
])("The small client passes every scenario of a subscriber with %s", (_, form) =>
  expectPass(form, "--only", "subscriber"),
);

test.each([
  ["Connect", "proto"],
  ["the bridge", "bridge"],
])("200 messages over %s survive 20 resets, 3 killed servers and tokens of 3 s, once and in order", (_, form) =>
  surviveTwoHundred([process.execPath, program, form]),
);
