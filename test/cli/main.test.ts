import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import { Folder, secret } from "./harness.ts";

const program = join(import.meta.dirname, "../../src/cli/main.ts");
/** What every process of a test gets. With the cache, it compiles no code that another one has compiled. */
const baseEnv = { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE };

/** Runs the program in a process of its own. */
function tidings(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [program, ...argv], { env: { ...baseEnv, ...env } }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

describe("The program tidings", () => {
  test("prints its help with --help", async () => {
    const { code, stdout, stderr } = await tidings(["--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^Tidings \d+\.\d+\.\d+/);
  });

  test.skipIf(!existsSync("/dev/full"))("says that stdout cannot be written", async () => {
    const full = openSync("/dev/full", "w");
    const child = spawn(process.execPath, [program, "--help"], { env: baseEnv, stdio: ["ignore", full, "pipe"] });
    closeSync(full);
    let stderr = "";
    (child.stderr as Readable).on("data", (chunk: Buffer) => (stderr += chunk));
    const [code] = await once(child, "close");
    expect([code, stderr]).toEqual([1, "error: cannot write to stdout: ENOSPC\n"]);
  });

  test("mints a token with the secret of its environment", async () => {
    const { code, stdout, stderr } = await tidings(["token", "--sub", "ada", "--tenant", "acme"], {
      TIDINGS_JWT_SECRET: secret,
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { payload } = await jwtVerify(stdout.trim(), new TextEncoder().encode(secret));
    expect(payload).toMatchObject({ sub: "ada", tenant: "acme", role: "user" });
  });

  test("serves on the socket that systemd has opened", async () => {
    using folder = new Folder();
    const systemd = createServer();
    await new Promise<void>((resolve) => systemd.listen(0, "127.0.0.1", resolve));
    const { port } = systemd.address() as AddressInfo;
    const script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"';
    const args = [process.execPath, program, "serve", "--data", folder.path, "--drain", "0s"];
    const child = spawn("sh", ["-c", script, ...args], {
      env: { ...baseEnv, TIDINGS_JWT_SECRET: secret },
      stdio: ["ignore", "pipe", "ignore", (systemd as unknown as { _handle: { fd: number } })._handle.fd],
    });
    systemd.close();
    try {
      const [line] = await once(child.stdout as Readable, "data");
      expect(JSON.parse(String(line))).toMatchObject({ address: `http://127.0.0.1:${port}`, host: "127.0.0.1", port });
      expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
      child.kill("SIGTERM");
      expect(await once(child, "exit")).toEqual([0, null]);
    } finally {
      child.kill("SIGKILL");
    }
  });

  test.each(["12.22.0", "20.20.2", "22.15.1"])(
    "says which Node it needs on Node %s, before it loads anything",
    async (old) => {
      const pretend = `Object.defineProperty(process.versions, "node", { value: "${old}" });
      process.on("exit", () => process.stdout.write(String(process.moduleLoadList.includes("NativeModule cluster"))));`;
      const { code, stdout, stderr } = await tidings(["serve"], {
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(pretend)}`,
      });
      expect({ code, stdout }).toEqual({ code: 1, stdout: "false" });
      expect(stderr).toBe(`tidings needs Node 22.16 or later; this is Node ${old}\n`);
    },
  );

  test("needs the Node that package.json, README.md and CONTRIBUTING.md name", () => {
    const read = (name: string) => readFileSync(join(import.meta.dirname, "../..", name), "utf8");
    expect(JSON.parse(read("package.json"))).toMatchObject({ engines: { node: ">=22.16" } });
    for (const name of ["README.md", "CONTRIBUTING.md"]) {
      const named = [...read(name).matchAll(/Node (\d+(?:\.\d+)?) (?:or later|on)|Node from (\d+)/g)].map(
        ([all]) => all,
      );
      expect(named.length, name).toBeGreaterThan(0);
      expect(
        named.filter((text) => text !== "Node 22.16 or later"),
        name,
      ).toEqual([]);
    }
  });

  test("refuses an unknown flag with exit code 2", async () => {
    const { code, stdout, stderr } = await tidings(["online", "--tokne", "x"]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("unknown option --tokne; did you mean --token?");
  });

  test("serves after its ready line on stdout, and drains at SIGTERM", async () => {
    using folder = new Folder();
    const child = spawn(process.execPath, [program, "serve", "--port", "0", "--data", folder.path, "--drain", "0s"], {
      env: { ...baseEnv, TIDINGS_JWT_SECRET: secret },
      stdio: ["ignore", "pipe", "ignore"],
    });
    try {
      const [line] = await once(child.stdout, "data");
      const { address, pid } = JSON.parse(String(line));
      expect(pid).toBe(child.pid);
      expect((await fetch(`${address}/readyz`)).status).toBe(200);
      child.kill("SIGTERM");
      expect(await once(child, "exit")).toEqual([0, null]);
    } finally {
      child.kill("SIGKILL");
    }
  });

  test.for([
    { given: "no flag", argv: [], flag: "--max-semi-space-size=4" },
    { given: "--semi-space 8", argv: ["--semi-space", "8"], flag: "--max-semi-space-size=8" },
    { given: "--semi-space 0", argv: ["--semi-space", "0"], flag: undefined },
  ])(
    "limits the semi-spaces of one event loop, given $given, in the process that was started",
    async ({ argv, flag }, context) => {
      context.skip(process.platform !== "linux", "command lines are read from /proc, which is not here");
      using folder = new Folder();
      const args = [program, "serve", "--port", "0", "--data", folder.path, "--workers", "1", ...argv];
      const child = spawn(process.execPath, args, {
        env: { ...baseEnv, TIDINGS_JWT_SECRET: secret },
        stdio: ["ignore", "pipe", "ignore"],
      });
      try {
        const [line] = await once(child.stdout, "data");
        expect(JSON.parse(String(line)).pid).toBe(child.pid);
        const command = readFileSync(`/proc/${child.pid}/cmdline`, "utf8").split("\0");
        expect(command.find((word) => word.startsWith("--max-semi-space-size"))).toBe(flag);
      } finally {
        child.kill("SIGKILL");
      }
    },
  );
});
