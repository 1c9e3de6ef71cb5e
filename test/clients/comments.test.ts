/** The comments of the contract, where a programmer in Python looks for them. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { testWith } from "../support/require.ts";
import { root } from "../support/run.ts";
import { findTool } from "../support/tools.ts";

const python = findTool("python3", "apt-get install python3-venv");

testWith(python)("Python's help and type stubs show the comments of the contract", () => {
  const folder = mkdtempSync(join(tmpdir(), "tidings-comments-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  execFileSync(join(import.meta.dirname, "hello/python/generate.sh"), [join(root, "gen/proto"), folder]);

  const stubs = readFileSync(join(folder, "tidings/v1/push_service_pb2.pyi"), "utf8");
  expect(stubs).toContain('"""Makes a retry safe, ');
  expect(stubs).toContain('"""Enters whether or not others are in the room."""');
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  const show = "from tidings.v1 import push_service_pb2_grpc as push; help(push.PushServiceServicer.Publish)";
  const help = execFileSync(join(cache, "tidings-clients/python/bin/python"), ["-c", show], {
    encoding: "utf8",
    env: { ...process.env, PYTHONPATH: folder },
  });
  expect(help).toContain("Publishes one message to one audience.");
});
