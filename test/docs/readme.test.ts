/** README.md, followed line by line. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { mintToken } from "../../src/auth/mint-token.ts";
import { commands } from "../../src/cli/all-commands.ts";
import { createTidings } from "../../src/server.ts";
import { openssl } from "../support/certificate.ts";
import { testWith } from "../support/require.ts";
import { root } from "../support/run.ts";
import { findTool } from "../support/tools.ts";
import { commandsOf, documents, readDocument } from "./blocks.ts";

const readme = readDocument("README.md");
const secret = "a secret of at least thirty-two bytes";
const curl = findTool("curl", "apt-get install curl");

/** The command that contains a word. */
function commandWith(word: string): string {
  const command = commandsOf("README.md").find((each) => each.includes(word));
  if (command === undefined) throw new Error(`README.md has no command with ${word}`);
  return command;
}

/** A folder for data, removed when the test ends. */
function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tidings-readme-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs shell commands until they exit or the test ends. Returns their lines of output. */
function start(script: string): AsyncIterator<string> {
  const child = spawn("sh", ["-ec", script], { cwd: root, detached: true, stdio: ["ignore", "pipe", "inherit"] });
  const exit = once(child, "exit");
  onTestFinished(async () => {
    // Signals the whole group (npm, its shell and the server), as Ctrl-C in a terminal does.
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, "SIGINT");
    await exit;
  });
  return createInterface({ input: child.stdout })[Symbol.asyncIterator]();
}

/** The first line that matches, among what npm prints around it. */
async function find(lines: AsyncIterator<string>, matches: (line: string) => boolean): Promise<string> {
  for (let next = await lines.next(); !next.done; next = await lines.next()) if (matches(next.value)) return next.value;
  throw new Error("the program exited before it printed that line");
}

function listUnread(url: string, token: string): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return fetch(`${url}/tidings.v1.PushService/ListUnread`, { method: "POST", headers, body: "{}" });
}

describe("README.md", () => {
  /** Where each command is run, or why it is not. */
  const followed: readonly [command: RegExp, by: string][] = [
    [/^npm ci && npm run demo$/, "below, from `npm run` on: `npm ci` would replace the packages under the tests"],
    [/^npm ci && npm test$/, "not here: this is that run. .ci/run runs it as it stands, with nothing else on PATH"],
    [/^npm ci && npm run build && npm pack /, "test/support/consumer.ts, for every test of the packages"],
    [
      /^cd ..\/your-project && npm install /,
      "not here: it needs npm's registry. test/package.test.ts unpacks the tarballs",
    ],
    [/^export TIDINGS_JWT_SECRET=/, "below"],
    [/^npm run tidings -- serve /, "below"],
    [/^npm run --silent tidings -- token /, "below"],
    [/^curl /, "below"],
  ];

  test("has commands that tests run, or that say here why none does", () => {
    const unknown = commandsOf("README.md").filter((command) => !followed.some(([known]) => known.test(command)));
    expect(unknown).toEqual([]);
    for (const [known, by] of followed) {
      expect(commandsOf("README.md").filter((command) => known.test(command)).length, by).toBeGreaterThan(0);
    }
  });

  test("starts a demo with one command, and its page opens", async () => {
    const [, demo = ""] = commandWith("run demo").split(" && ");
    const lines = start(`${demo} -- --port 0 --data ${makeFolder()} --json`);
    const { address } = JSON.parse(await find(lines, (line) => line.startsWith("{"))) as { address: string };
    const page = await fetch(address);
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  });

  testWith(openssl)("starts a server, and mints a token that it accepts", async () => {
    const serve = commandWith("serve").replace("7300", "0").replace("./tidings-data", makeFolder());
    const lines = start([commandWith("export "), commandWith(" token "), serve].join("\n"));
    const token = await find(lines, (line) => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(line));
    const { address } = JSON.parse(await find(lines, (line) => line.startsWith("{"))) as { address: string };
    expect((await listUnread(address, token)).status).toBe(200);
    expect((await listUnread(address, `${token}x`)).status).toBe(401);
  });

  testWith(curl)("publishes with curl", async () => {
    const tidings = await createTidings({ data: ":memory:", auth: { secret } });
    onTestFinished(() => tidings.close());
    const { url } = await tidings.listen({ port: 0 });
    const now = Math.floor(Date.now() / 1000);
    const TOKEN = await mintToken(secret, { sub: "backend", tenant: "acme", role: "service", exp: now + 60 }, now);
    const script = commandWith("curl").replace("http://127.0.0.1:7300", url);
    const { stdout } = await promisify(execFile)("sh", ["-c", script], { env: { ...process.env, TOKEN } });
    expect(JSON.parse(stdout)).toMatchObject({ messageId: expect.any(String) });
  });

  test("names the tarballs that npm pack makes", () => {
    const { version } = JSON.parse(readDocument("package.json")) as { version: string };
    for (const name of ["tidings", "tidings-client"]) expect(readme).toContain(`/${name}-${version}.tgz`);
  });

  test("names every command of the program", () => {
    const [, list = ""] = /lists the commands: ([^.]*)\./.exec(readme) ?? [];
    expect([...list.matchAll(/`([\w-]+)`/g)].map(([, name]) => name)).toEqual(commands.map(({ name }) => name));
  });
});

test.each([...documents, "ARCHITECTURE.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"])(
  "The links of %s lead to files that exist",
  (document) => {
    const links = [...readDocument(document).matchAll(/\]\((?!https?:|mailto:|#)([^)#]+)/g)].map(
      ([, path = ""]) => path,
    );
    expect(links.filter((path) => !existsSync(join(root, dirname(document), path)))).toEqual([]);
  },
);
