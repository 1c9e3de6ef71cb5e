/** Real processes that share a port. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:http2";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { secret } from "../harness.ts";

/** Starts the worker program in a process group of its own, so that the test can kill all of its processes. */
async function serve(workers: number) {
  const nodes = ["--store=mongodb://db/tidings", "--bus=redis://cache"];
  const program = join(import.meta.dirname, "worker-program.ts");
  const child: ChildProcess = spawn(
    process.execPath,
    [program, "serve", "--port=0", `--workers=${workers}`, ...nodes],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        PATH: process.env.PATH,
        NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
        TIDINGS_JWT_SECRET: secret,
      },
      detached: true,
    },
  );
  const exited = once(child, "exit") as Promise<[number | null]>;
  onTestFinished(async () => {
    if (child.exitCode === null) process.kill(-(child.pid as number), "SIGKILL");
    await exited;
  });
  if (!child.stdout) throw new Error("no pipe");
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  const { address } = JSON.parse(line) as { address: string };
  return { address, child, exited: exited.then(([code]) => code) };
}

/** The id of the process that responds on a new connection. */
async function pidOverHttp1(address: string): Promise<number> {
  const call = request(address, { agent: false }).end();
  const [response] = await once(call, "response");
  return Number(await text(response));
}

async function pidOverHttp2(address: string): Promise<number> {
  const session = connect(address);
  try {
    return Number(await text(session.request({ ":path": "/" })));
  } finally {
    session.close();
  }
}

/** The ids of the processes that respond on `count` new connections. */
async function pids(address: string, ask = pidOverHttp1, count = 20): Promise<Set<number>> {
  const found = new Set<number>();
  for (let index = 0; index < count; index++) found.add(await ask(address));
  return found;
}

/** Whether a process is running; a zombie is not. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("Connections over HTTP/1.1 and HTTP/2 reach every worker, and SIGTERM drains all workers", async () => {
  const { address, child, exited } = await serve(3);
  const found = await pids(address);
  expect(found.size).toBe(3);
  expect(found).not.toContain(child.pid);
  expect(await pids(address, pidOverHttp2)).toEqual(found);
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
  for (const pid of found) expect(isRunning(pid)).toBe(false);
});

test("A killed worker is replaced, and no connection is refused meanwhile", async () => {
  const { address, child, exited } = await serve(2);
  const before = await pids(address);
  const [victim = 0, survivor = 0] = before;
  process.kill(victim, "SIGKILL");
  await expect.poll(async () => (await pids(address, pidOverHttp1, 6)).size, { timeout: 10_000 }).toBe(2);
  const after = await pids(address);
  expect(after).toContain(survivor);
  expect(after).not.toContain(victim);
  // A worker that gets a SIGTERM of its own drains and is replaced, too.
  process.kill(survivor, "SIGTERM");
  await expect.poll(async () => (await pids(address, pidOverHttp1, 6)).has(survivor), { timeout: 10_000 }).toBe(false);
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
});

test("A signal to the whole process group, as from a terminal, counts as one signal", async () => {
  const { address, child, exited } = await serve(2);
  await pids(address, pidOverHttp1, 2);
  process.kill(-(child.pid as number), "SIGINT");
  expect(await exited).toBe(0);
});

test("Workers end when the first process is killed", async () => {
  const { address, child, exited } = await serve(2);
  const found = await pids(address);
  child.kill("SIGKILL");
  await exited;
  for (const pid of found) await expect.poll(() => isRunning(pid)).toBe(false);
});

test("SIGHUP reaches every worker once, even when the whole process group gets it", async () => {
  const { address, child, exited } = await serve(2);
  const reloadsOf = async () => {
    const call = request(`${address}/reloads`, { agent: false }).end();
    const [response] = await once(call, "response");
    return text(response);
  };
  process.kill(-(child.pid as number), "SIGHUP");
  await expect.poll(async () => [await reloadsOf(), await reloadsOf()]).toEqual(["1", "1"]);
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
});
