/** The Python SDK: its own tests, its installation by pip, and the programs of its README against a real server. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { pythonEnvironment } from "../../scripts/python-environment.ts";
import { blocksOf } from "../docs/blocks.ts";
import { testWith } from "../support/require.ts";
import { root } from "../support/run.ts";
import { newTenant, startServer } from "../support/server.ts";
import { findTool } from "../support/tools.ts";
import { surviveTwoHundred } from "./two-hundred.ts";

const python = findTool("python3", "apt-get install python3-venv");
const sdk = join(root, "sdk/python");
/** The URL of the server in the README's programs. */
const exampleUrl = "http://127.0.0.1:7300";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tidings-python-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The environment for development, in which the SDK is the one of the sources. */
function development(): string {
  const key = readFileSync(join(sdk, "pyproject.toml"), "utf8");
  return pythonEnvironment("tidings-sdk-python", key, ["-e", `${sdk}[dev]`]);
}

/** Runs a command in a folder and returns its output. Rejects, with its output, when it fails. */
async function run(cwd: string, env: NodeJS.ProcessEnv, program: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, args, { cwd, env: { ...process.env, ...env } });
    return stdout;
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`${program} ${args.join(" ")} failed:\n${stdout}${stderr}`, { cause: error });
  }
}

/** Writes the program of the README with this name, for the server at a URL, and returns its path. */
function programOf(name: string, url: string): string {
  const block = blocksOf("sdk/python/README.md").find(({ place }) => place.endsWith(` ${name}`));
  if (block === undefined) throw new Error(`sdk/python/README.md has no program ${name}`);
  expect(block.code).toContain(exampleUrl);
  // Not asyncio.py, which would be imported in place of the library.
  const path = join(folder, `readme_${name}.py`);
  writeFileSync(path, block.code.replace(exampleUrl, url));
  return path;
}

test("The Python SDK has the version of the package", () => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  expect(readFileSync(join(sdk, "pyproject.toml"), "utf8")).toContain(`\nversion = "${version}"\n`);
  expect(readFileSync(join(sdk, "src/tidings/_version.py"), "utf8")).toContain(`\nVERSION = "${version}"\n`);
});

test("docs/clients.md shows the programs of the Python README", () => {
  const programs = blocksOf("docs/clients.md").filter(({ language }) => language === "python");
  const readme = blocksOf("sdk/python/README.md").map(({ code }) => code);
  expect(programs.length).toBeGreaterThanOrEqual(2);
  for (const { code } of programs) expect(readme).toContain(code);
});

test.each(["publish", "subscribe"])("The program %s of the Python README has at most ten lines", (name) => {
  const block = blocksOf("sdk/python/README.md").find(({ place }) => place.endsWith(` ${name}`));
  expect(block?.code.trim().split("\n").filter(Boolean).length).toBeLessThanOrEqual(10);
});

testWith(python)("The Python SDK is formatted, strictly typed, and passes its tests without a warning", async () => {
  const bin = development();
  const env = { PYTHONDONTWRITEBYTECODE: "1" };
  await run(sdk, env, join(bin, "ruff"), "check", "--no-cache", ".");
  await run(sdk, env, join(bin, "ruff"), "format", "--check", "--no-cache", ".");
  await run(sdk, env, join(bin, "mypy"), "--cache-dir", join(folder, "mypy"));
  await run(sdk, env, join(bin, "python"), "-X", "dev", "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider");
});

testWith(python)("pip installs the Python SDK from its folder, and the README's programs run", async () => {
  const bin = join(folder, "user/bin");
  await run(folder, {}, "python3", "-m", "venv", join(folder, "user"));
  await run(folder, {}, join(bin, "pip"), "install", "--quiet", "--disable-pip-version-check", sdk);
  const installed = join(
    folder,
    "user/lib",
    readdirSync(join(folder, "user/lib"))[0] as string,
    "site-packages/tidings",
  );
  expect(readdirSync(installed)).toContain("py.typed");
  expect(readdirSync(join(installed, "v1"))).toContain("message_pb2.pyi");

  const server = await startServer();
  try {
    for (const name of ["subscribe", "asyncio"]) {
      const tenant = newTenant();
      const token = async (role: "user" | "service") => ({
        TIDINGS_TOKEN: await server.token({ tenant, role }),
      });
      const env = { ...process.env, ...(await token("user")), PYTHONUNBUFFERED: "1" };
      const subscriber = spawn(join(bin, "python"), [programOf(name, server.url)], { cwd: folder, env });
      const exit = once(subscriber, "exit");
      const lines = createInterface({ input: subscriber.stdout })[Symbol.asyncIterator]();
      try {
        const online = () => server.client({ tenant }).onlineCount({});
        await expect.poll(online, { timeout: 60_000 }).toMatchObject({ connections: 1 });
        const publish = programOf("publish", server.url);
        expect(await run(folder, await token("service"), join(bin, "python"), publish)).toMatch(/^[0-9a-f-]{36}\n$/);
        expect((await lines.next()).value).toBe("Invoice 7 is due 1");
      } finally {
        subscriber.kill();
        await exit;
      }
    }
  } finally {
    await server.stop();
  }
});

testWith(python)(
  "The examples of the Python SDK publish lines, show events, and go on where they stopped",
  async () => {
    const server = await startServer();
    const tenant = newTenant();
    const start = async (role: "user" | "service", name: string, ...args: string[]) => {
      const token = await server.token({ tenant, role });
      const env = { ...process.env, TIDINGS_URL: server.url, TIDINGS_TOKEN: token };
      const child = spawn(join(development(), "python"), [join(sdk, "examples", name), ...args], { cwd: folder, env });
      const exit = once(child, "exit");
      children.push({ child, exit });
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      return { child, exit, next: async () => (await lines.next()).value as string | undefined };
    };
    const children: { child: ChildProcess; exit: Promise<unknown> }[] = [];
    try {
      const subscriber = await start("user", "subscribe.py", "dm/ann/bob");
      expect(new Set([await subscriber.next(), await subscriber.next()])).toEqual(
        new Set(["up to date", "dm/ann/bob: STATUS_JOINED "]),
      );
      const publisher = await start("service", "publish.py", "ann");
      publisher.child.stdin.end("one\ntwo\n");
      expect(await publisher.exit).toEqual([0, null]);
      const titles: (string | undefined)[] = [];
      while (titles.at(-1) !== "two") titles.push(await subscriber.next());
      expect(titles.filter((line) => !line?.endsWith(" unread"))).toEqual(["one", "two"]);

      const service = server.client({ tenant, role: "service" });
      const act = (title: string) =>
        service.publish({
          audience: { to: { case: "tenant", value: true } },
          message: { kind: Kind.ACTIVITY, title },
        });
      const first = await start("service", "worker.py", "worker.db");
      for await (const state of createInterface({ input: first.child.stderr })) if (state === "live") break;
      await act("begun");
      expect(await first.next()).toBe("begun");
      first.child.kill("SIGTERM");
      expect(await first.next()).toBe("stopped");
      expect(await first.exit).toEqual([0, null]);
      await act("missed");
      const second = await start("service", "worker.py", "worker.db");
      expect(await second.next()).toBe("missed");
    } finally {
      for (const { child, exit } of children) {
        child.kill();
        await exit;
      }
      await server.stop();
    }
  },
);

testWith(python).each(["sync", "async"])("The Python SDK passes every scenario of the kit: %s", async (mode) => {
  const main = join(root, "src/cli/main.ts");
  const output = await run(root, {}, process.execPath, main, "test-client", "--", ...kit(mode));
  expect(output.split("\n").filter((line) => !line.startsWith("ok "))).toEqual([
    expect.stringMatching(/^(\d+) of \1 scenarios passed$/),
    "",
  ]);
});

testWith(python).each(["sync", "async"])(
  "The Python SDK receives 200 of 200 messages once and in order, over resets, restarts and short tokens: %s",
  (mode) => surviveTwoHundred(kit(mode)),
);

/** The client program of the kit. */
function kit(mode: string): string[] {
  return [join(development(), "python"), join(sdk, "kit/client.py"), mode];
}
