/** The Python, Go and Java of docs/errors.md, which read errors of a server. */
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import { blocksOf } from "../docs/blocks.ts";
import { testWith } from "../support/require.ts";
import { root } from "../support/run.ts";
import { newTenant, startServer, type TestServer } from "../support/server.ts";
import { findTool, pathOf } from "../support/tools.ts";

const python = findTool("python3", "apt-get install python3-venv");
const go = findTool("go", "https://go.dev/dl");
const maven = findTool("mvn", "apt-get install maven");
const javac = findTool("javac", "apt-get install default-jdk-headless");

const sources = join(import.meta.dirname, "errors");
const cache = join(root, "node_modules/.cache");

let server: TestServer;
let folder: string;
beforeAll(async () => {
  // The second call of a user is over the limit.
  server = await startServer({ limits: { callsPerUser: { perSecond: 0.01, burst: 1 } } });
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tidings-errors-"));
  cpSync(sources, folder, { recursive: true });
  return () => rmSync(folder, { recursive: true });
});
afterAll(() => server.stop());

/** Writes the block of a language in docs/errors.md into the folder. */
function writeBlock(language: string, file: string): void {
  const block = blocksOf("docs/errors.md").find((each) => each.language === language);
  writeFileSync(join(folder, file), block?.code ?? "");
}

/** Runs a program in the folder, and returns what it prints. The server is in this process, which must not wait for it. */
async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, { cwd: folder });
  return stdout;
}

/** The arguments of a program: the server, and the token of a user that no other program is. */
async function target(): Promise<[string, string]> {
  return [`127.0.0.1:${server.port}`, await server.token({ tenant: newTenant() })];
}

function expectBothErrors(printed: string): void {
  const [invalid, limited, ...rest] = printed.trim().split("\n");
  expect(invalid?.toLowerCase()).toBe("invalid_argument|field_invalid|audience|-|audience: must be set");
  expect(limited?.toLowerCase()).toMatch(/^resource_exhausted\|rate_limited\|-\|later\|\S+ /);
  expect(rest).toEqual([]);
}

testWith(python)("The Python of docs/errors.md reads code, reason, field and delay", async () => {
  const environment = join(cache, "tidings-errors-python");
  const wanted = readFileSync(join(sources, "requirements.txt"), "utf8");
  const installed = join(environment, "installed.txt");
  if (!existsSync(installed) || readFileSync(installed, "utf8") !== wanted) {
    rmSync(environment, { recursive: true, force: true });
    await run(pathOf(python), "-m", "venv", environment);
    await run(join(environment, "bin/pip"), "install", "--quiet", "-r", "requirements.txt");
    writeFileSync(installed, wanted);
  }
  writeBlock("python", "read_error.py");
  expectBothErrors(await run(join(environment, "bin/python"), "main.py", ...(await target())));
});

testWith(go)("The Go of docs/errors.md reads code, reason, field and delay", async () => {
  writeBlock("go", "read_error.go");
  expectBothErrors(await run(pathOf(go), "run", "-trimpath", ".", ...(await target())));
});

testWith(maven, javac)("The Java of docs/errors.md reads code, reason, field and delay", async () => {
  writeBlock("java", "TidingsError.java");
  await run(pathOf(maven), "-q", "-B", "dependency:build-classpath", "-Dmdep.outputFile=classpath.txt");
  const classpath = `${readFileSync(join(folder, "classpath.txt"), "utf8").trim()}:.`;
  await run(pathOf(javac), "-cp", classpath, "Main.java", "TidingsError.java");
  expectBothErrors(await run("java", "-cp", classpath, "Main", ...(await target())));
});
