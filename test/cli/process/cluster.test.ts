/** Several processes on one port. */
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

/** A group of processes, so that nothing is left of it. */
async function serve(workers: number) {
  const nodes = ["--store=mongodb://db/tidings", "--bus=redis://cache"];
  const program = join(import.meta.dirname, "worker-program.ts");
  const child: ChildProcess = spawn(
    process.execPath,
    [program, "serve", "--port=0", `--workers=${workers}`, ...nodes],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: { PATH: process.env.PATH, TIDINGS_JWT_SECRET: secret },
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

/** The process that answers on a new connection. */
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

/** Those that answer, over so many connections. */
async function pids(address: string, ask = pidOverHttp1, count = 20): Promise<Set<number>> {
  const found = new Set<number>();
  for (let index = 0; index < count; index++) found.add(await ask(address));
  return found;
}

/** Whether a process has not ended; what nobody has buried yet has. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("connections are spread evenly, over HTTP/1.1 and HTTP/2, and SIGTERM drains all", async () => {
  const { address, child, exited } = await serve(3);
  const found = await pids(address);
  expect(found.size).toBe(3);
  expect(found).not.toContain(child.pid);
  expect(await pids(address, pidOverHttp2)).toEqual(found);
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
  for (const pid of found) expect(isRunning(pid)).toBe(false);
});

test("a worker that is killed is replaced, and no connection is refused meanwhile", async () => {
  const { address, child, exited } = await serve(2);
  const before = await pids(address);
  const [victim = 0, survivor = 0] = before;
  process.kill(victim, "SIGKILL");
  await expect.poll(async () => (await pids(address, pidOverHttp1, 6)).size, { timeout: 10_000 }).toBe(2);
  const after = await pids(address);
  expect(after).toContain(survivor);
  expect(after).not.toContain(victim);
  // One that was told to end is replaced, too: the others go on.
  process.kill(survivor, "SIGTERM");
  await expect.poll(async () => (await pids(address, pidOverHttp1, 6)).has(survivor), { timeout: 10_000 }).toBe(false);
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
});

test("a signal to the whole group, as from a terminal, drains once", async () => {
  const { address, child, exited } = await serve(2);
  await pids(address, pidOverHttp1, 2);
  process.kill(-(child.pid as number), "SIGINT");
  expect(await exited).toBe(0);
});

test("without its first process no worker is left", async () => {
  const { address, child, exited } = await serve(2);
  const found = await pids(address);
  child.kill("SIGKILL");
  await exited;
  for (const pid of found) await expect.poll(() => isRunning(pid)).toBe(false);
});
