/** The commands by which docs/clients.md generates code, run on the packed package without a network. */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, inject } from "vitest";
import { blocksOf } from "../docs/blocks.ts";
import { pack } from "../support/consumer.ts";
import { testWith } from "../support/require.ts";
import { findTool, pathOf } from "../support/tools.ts";

const protoc = findTool("protoc", "apt-get install protobuf-compiler");
const go = findTool("protoc-gen-go", "go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tidings-generate-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Prefixes a command with `unshare`, which takes its network away, where this user may. */
function offline(...command: readonly string[]): readonly [string, readonly string[]] {
  try {
    execFileSync("unshare", ["--net", "true"], { stdio: "ignore" });
    return ["unshare", ["--net", ...command]];
  } catch {
    console.log("unshare --net is not allowed: the commands run with a network");
    const [program = "", ...args] = command;
    return [program, args];
  }
}

/** A folder with a copy of protoc, which then has no files of its own to import. */
function bareProtoc(): string {
  const bin = join(folder, "bin");
  mkdirSync(bin);
  copyFileSync(pathOf(protoc), join(bin, "protoc"));
  return bin;
}

testWith(protoc, go)("docs/clients.md generates Python, Go and Java from the package alone", () => {
  const code = blocksOf("docs/clients.md").find(({ place }) => place.endsWith(" generate"))?.code ?? "";
  const [fetch, ...commands] = code.trim().split("\n");
  expect(fetch).toBe("npm pack tidings");
  expect(commands).toHaveLength(5);

  const { tarball } = pack(inject("runFolder")).tidings;
  copyFileSync(tarball, join(folder, basename(tarball)));
  const [program, args] = offline("bash", "-euc", commands.join("\n"));
  execFileSync(program, args, { cwd: folder, env: { ...process.env, PATH: `${bareProtoc()}:${process.env.PATH}` } });

  expect(readFileSync(join(folder, "go/tidings/v1/push_service.pb.go"), "utf8")).toContain("\npackage tidingsv1\n");
  expect(existsSync(join(folder, "java/com/tidings/v1/PublishRequest.java"))).toBe(true);
  const python = "from tidings.v1 import push_service_pb2";
  expect(readFileSync(join(folder, "python/tidings/v1/bridge_pb2.py"), "utf8")).toContain(python);
});
