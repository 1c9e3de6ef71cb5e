/** The contract as users of other languages have it: in the packed package, for a protoc without any other import path. */
import { execFileSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject } from "vitest";
import { pack } from "../support/consumer.ts";
import { testWith } from "../support/require.ts";
import { findTool, pathOf } from "../support/tools.ts";

const protoc = findTool("protoc", "apt-get install protobuf-compiler");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tidings-generate-"));
  execFileSync("tar", ["-xzf", pack(inject("runFolder")).tidings.tarball, "-C", folder]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

testWith(protoc)("The protos of the packed package compile for Python", () => {
  const proto = join(folder, "package/proto");
  mkdirSync(join(folder, "python"));
  const files = globSync("**/*.proto", { cwd: proto });
  execFileSync(pathOf(protoc), ["-I", proto, `--python_out=${join(folder, "python")}`, ...files]);
  expect(existsSync(join(folder, "python/tidings/v1/push_service_pb2.py"))).toBe(true);
});
