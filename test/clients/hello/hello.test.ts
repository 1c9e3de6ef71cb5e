/**
 * A hello for each language: generated from the protos of the packed package by the language's own tools, compiled, and run
 * against a server. It opens a stream as a user, publishes a notification as a service, receives it, and reads the reason
 * of an error.
 */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject } from "vitest";
import { ServerProcess, tokenFor } from "../../faults/server-process.ts";
import { pack } from "../../support/consumer.ts";
import { testWith } from "../../support/require.ts";
import { newTenant } from "../../support/server.ts";
import { findTool, missingTool, type Tool } from "../../support/tools.ts";

const protoc = findTool("protoc", "apt-get install protobuf-compiler");

/** A program in the folder of its language, whose run.sh takes the folder of protos. */
interface Hello {
  /** The language. In lower case and in words, it is the name of the folder. */
  readonly name: string;
  readonly tools: readonly Tool[];
}

/** A program with a package that it runs on: missing where this command of it fails. */
function findRuntime(name: string, args: readonly string[], hint: string): Tool {
  const program = findTool(name, hint);
  if (program.path === undefined) return program;
  const { status } = spawnSync(program.path, args, { stdio: "ignore" });
  if (status === 0) return program;
  const missing = { name: `the package for ${name}`, hint, path: undefined };
  if (process.env.TIDINGS_TEST_REQUIRE_ALL === "1") throw new Error(missingTool(missing));
  return missing;
}

const php = 'exit(stream_resolve_include_path("Google/Protobuf/Internal/Message.php") === false ? 1 : 0);';
const hellos: readonly Hello[] = [
  { name: "Python", tools: [findRuntime("python3", ["-c", "import ensurepip, venv"], "apt-get install python3-venv")] },
  {
    name: "C#",
    tools: [protoc, findTool("mcs", "apt-get install mono-mcs"), findTool("mono", "apt-get install mono-runtime")],
  },
  { name: "Go", tools: [protoc, findTool("go", "https://go.dev/doc/install")] },
  { name: "Java", tools: [findTool("mvn", "apt-get install maven default-jdk-headless")] },
  { name: "Rust", tools: [protoc, findTool("cargo", "https://rustup.rs")] },
  { name: "PHP", tools: [protoc, findRuntime("php", ["-r", php], "apt-get install php-cli php-google-protobuf")] },
  {
    name: "Ruby",
    tools: [protoc, findRuntime("ruby", ["-e", 'require "google/protobuf"'], "apt-get install ruby-google-protobuf")],
  },
];

let folder: string;
let proto: string;
let server: ServerProcess;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tidings-hello-"));
  execFileSync("tar", ["-xzf", pack(inject("runFolder")).tidings.tarball, "-C", folder]);
  proto = join(folder, "package/proto");
  server = new ServerProcess({ data: join(folder, "data") });
  await server.ready;
});
afterAll(async () => {
  await server?.kill();
  rmSync(folder, { recursive: true, force: true });
});

describe.each(hellos)("The hello in $name", ({ name, tools }) => {
  testWith(...tools)("receives what it publishes, and reads why a publish is refused", async () => {
    const tenant = newTenant();
    const { stdout } = await promisify(execFile)(
      "bash",
      [join(import.meta.dirname, name.toLowerCase().replace("#", "sharp"), "run.sh"), proto],
      {
        env: {
          ...process.env,
          TIDINGS_URL: await server.ready,
          TIDINGS_SERVICE_TOKEN: await tokenFor({ sub: "backend", role: "service", tenant }),
          TIDINGS_USER_TOKEN: await tokenFor({ sub: "ada", role: "user", tenant }),
        },
      },
    );
    expect(stdout).toBe(`received: Hello from ${name}; refused: FIELD_INVALID\n`);
  });
});

testWith(
  protoc,
  findTool("clang", "apt-get install clang"),
  findTool("gnustep-config", "apt-get install gobjc libgnustep-base-dev"),
)("Objective-C that is generated from the contract compiles", async () => {
  const { stdout } = await promisify(execFile)("bash", [join(import.meta.dirname, "objective-c/check.sh"), proto]);
  expect(stdout.trimEnd().split("\n")).toEqual(
    ["AdminService", "Bridge", "Message", "PushService"].map((name) => `compiles: ${name}.pbobjc.m`),
  );
});

// protoc-gen-swift and the compiler come from swift.org only: neither Debian nor another registry of packages has them.
console.log("skipped: a client in Swift, whose compiler and generator no package registry has");
