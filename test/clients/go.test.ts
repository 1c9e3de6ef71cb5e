/** The Go SDK: its own tests, its installation by `go get`, and the programs of its README against a real server. */
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect } from "vitest";
import { blocksOf, readDocument } from "../docs/blocks.ts";
import { testWith } from "../support/require.ts";
import { root } from "../support/run.ts";
import { newTenant, startServer } from "../support/server.ts";
import { findTool } from "../support/tools.ts";
import { surviveTwoHundred } from "./two-hundred.ts";

const go = findTool("go", "https://go.dev/doc/install");
const sdk = join(root, "sdk/go");
const module = "github.com/tidings-dev/tidings/sdk/go";
/** The URL of the server in the README's programs. */
const exampleUrl = "http://127.0.0.1:7300";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tidings-go-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a command in a folder and returns its output. Rejects, with its output, when it fails. */
async function run(cwd: string, env: NodeJS.ProcessEnv, program: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, { cwd, env: { ...process.env, ...env } });
  return stdout;
}

/** The program of the README with this name, for the server at a URL. */
function programOf(name: string, url: string): string {
  const block = blocksOf("sdk/go/README.md").find(({ place }) => place.endsWith(` ${name}`));
  if (block === undefined) throw new Error(`sdk/go/README.md has no program ${name}`);
  expect(block.code.trim().split("\n").filter(Boolean).length).toBeLessThanOrEqual(10);
  expect(block.code).toContain(exampleUrl);
  expect(readDocument("docs/clients.md")).toContain(block.code);
  return block.code.replace(exampleUrl, url);
}

testWith(go)("The Go SDK is formatted, vetted, and passes its tests under the race detector", async () => {
  expect(await run(sdk, {}, "gofmt", "-l", ".")).toBe("");
  await run(sdk, {}, "go", "vet", "./...");
  await run(sdk, {}, "go", "mod", "verify");
  await run(sdk, {}, "go", "test", "-race", "./...");
});

testWith(go)("go get installs the Go SDK from a repository, and the README's programs build and run", async () => {
  // A repository as RELEASING.md tags it, which git fetches instead of the one at GitHub.
  const repository = join(folder, "tidings");
  const files = execFileSync(
    "git",
    ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "sdk/go", "LICENSE"],
    {
      cwd: root,
      encoding: "utf8",
    },
  );
  for (const file of files.split("\0").filter(Boolean)) cpSync(join(root, file), join(repository, file));
  const identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
  await run(repository, {}, "git", "init", "--quiet");
  await run(repository, {}, "git", "add", ".");
  await run(repository, {}, "git", ...identity, "commit", "--quiet", "-m", "feat: a release");
  await run(repository, {}, "git", "tag", "sdk/go/v0.3.0");
  const cache = (await run(sdk, {}, "go", "env", "GOMODCACHE", "GOPROXY")).trim().split("\n");
  const env = {
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: `url.file://${repository}.insteadOf`,
    GIT_CONFIG_VALUE_0: "https://github.com/tidings-dev/tidings",
    // A cache of its own, because the version exists only here. The other modules come from the machine's cache.
    GOMODCACHE: join(folder, "modules"),
    GOPROXY: `file://${cache[0]}/cache/download,${cache[1]}`,
    GOPRIVATE: "github.com/tidings-dev/*",
    GOFLAGS: "-modcacherw",
  };
  const server = await startServer();
  try {
    mkdirSync(join(folder, "bin"));
    const user = join(folder, "user");
    for (const name of ["publish", "subscribe"]) {
      mkdirSync(join(user, name), { recursive: true });
      writeFileSync(join(user, name, "main.go"), programOf(name, server.url));
    }
    expect(await run(user, {}, "gofmt", "-l", ".")).toBe("");
    await run(user, env, "go", "mod", "init", "example");
    await run(user, env, "go", "get", module);
    await run(user, env, "go", "build", "-o", join(folder, "bin"), "./...");

    const tenant = newTenant();
    const token = async (role: "user" | "service") => ({ TIDINGS_TOKEN: await server.token({ tenant, role }) });
    const subscriber = spawn(join(folder, "bin/subscribe"), { env: { ...process.env, ...(await token("user")) } });
    const lines = createInterface({ input: subscriber.stdout })[Symbol.asyncIterator]();
    try {
      await expect.poll(() => server.client({ tenant }).onlineCount({})).toMatchObject({ connections: 1 });
      expect(await run(user, await token("service"), join(folder, "bin/publish"))).toMatch(/^message_id:".* <nil>\n$/);
      expect((await lines.next()).value).toBe("Invoice 7 is due <nil>");
    } finally {
      subscriber.kill();
      await once(subscriber, "exit");
    }
  } finally {
    await server.stop();
  }
});

testWith(go)("The examples of the Go SDK publish a file and receive it, and go on where they ended", async () => {
  const bin = join(folder, "examples");
  mkdirSync(bin);
  await run(sdk, {}, "go", "build", "-o", bin, "./examples/...");
  const server = await startServer();
  try {
    const tenant = newTenant();
    const env = async (role: "user" | "service") => ({
      TIDINGS_URL: server.url,
      TIDINGS_TOKEN: await server.token({ tenant, role }),
    });
    const publish = async (...titles: string[]) => {
      const child = spawn(join(bin, "import"), { env: { ...process.env, ...(await env("service")) } });
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      for (const title of titles) {
        const message = { kind: title === "" ? "KIND_UNSPECIFIED" : "KIND_NOTIFICATION", title };
        child.stdin.write(`${JSON.stringify({ audience: { userId: "ann" }, message })}\n`);
      }
      child.stdin.end();
      const printed = [];
      for (let next = await lines.next(); !next.done; next = await lines.next()) printed.push(next.value);
      return printed;
    };
    /** Receives until a title comes, and stops the program as Ctrl-C does. */
    const receiveUntil = async (title: string, start: () => Promise<unknown>) => {
      const args = ["-store", join(folder, "positions.json")];
      const child = spawn(join(bin, "receive"), args, { env: { ...process.env, ...(await env("user")) } });
      const exit = once(child, "exit");
      const printed: string[] = [];
      for await (const line of createInterface({ input: child.stdout })) {
        if (line.startsWith("live")) await start();
        else printed.push(line);
        if (line === title) child.kill("SIGINT");
      }
      expect(await exit).toEqual([0, null]);
      return printed;
    };
    const first = await receiveUntil("b", async () => {
      expect(await publish("a", "", "b")).toEqual([
        expect.stringMatching(/^line 2: tidings: invalid_argument FIELD_INVALID: /),
        "2 stored, 1 refused",
      ]);
    });
    expect(first).toEqual(["a", "b"]);
    await publish("c", "d");
    expect(await receiveUntil("d", async () => {})).toEqual(["c", "d"]);
  } finally {
    await server.stop();
  }
});

testWith(go).each([
  ["Connect over HTTP/1.1", "connect"],
  ["Connect over HTTP/2", "h2c"],
  ["gRPC", "grpc"],
])("The Go SDK passes every scenario of tidings test-client with %s", async (_, protocol) => {
  const main = join(root, "src/cli/main.ts");
  const output = await run(root, {}, process.execPath, main, "test-client", "--", await kit(), protocol);
  expect(output.split("\n").filter((line) => !line.startsWith("ok "))).toEqual([
    expect.stringMatching(/^(\d+) of \1 scenarios passed$/),
    "",
  ]);
});

testWith(go)(
  "The Go SDK receives 200 of 200 messages once and in order, over resets, restarts and short tokens",
  async () => surviveTwoHundred([await kit()]),
);

/** Builds the client program of the kit, and returns its path. */
async function kit(): Promise<string> {
  const path = join(folder, "kit");
  await run(sdk, {}, "go", "build", "-o", path, "./kit");
  return path;
}
