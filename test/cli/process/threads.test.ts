/** Real processes whose event loops run in several threads. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { WebSocket } from "ws";
import { mintToken } from "../../../src/auth/mint-token.ts";
import { holdPort, tryPort } from "../../../src/cli/process/share-port.ts";
import { scrape } from "../../support/figures.ts";
import { Folder, secret } from "../harness.ts";

/** The number of threads. */
const count = 2;
/** Connections of which each thread gets some: that one gets none happens once in a billion times. */
const many = 32;
const tenant = "acme";

// Several servers start one after the other in a test, each with the code of several threads.
vi.setConfig({ testTimeout: 60_000 });

/**
 * Writes the heap limit of each thread of a server into a file. Throws in the first thread that finds the file `kill`, which it
 * removes: its server dies. The thread of the store, which has the same environment, does not.
 */
const killer = `import { existsSync, rmSync, writeFileSync } from "node:fs";
import { getHeapStatistics } from "node:v8";
import { threadId, workerData } from "node:worker_threads";
const { heap_size_limit: limit } = getHeapStatistics();
if (workerData?.values) writeFileSync(process.env.KILL_FILE + "-heap-" + threadId, String(limit));
if (workerData?.values) setInterval(() => {
  if (!existsSync(process.env.KILL_FILE)) return;
  try { rmSync(process.env.KILL_FILE); } catch { return; }
  throw new Error("killed by the test");
}, 20);`;

interface Served {
  readonly child: ChildProcess;
  readonly line: Record<string, unknown>;
  readonly address: string;
  readonly folder: Folder;
  readonly exited: Promise<number | null>;
  log(): string;
  /** Kills the server of one thread. */
  killThread(): void;
}

type End = () => Promise<void>;

/** Starts a server. `atEnd` takes the function that ends it. */
function run(
  folder: Folder,
  flags: readonly string[],
  nodeOptions = "",
  atEnd: (end: End) => unknown = onTestFinished,
) {
  const program = join(import.meta.dirname, "../../../src/cli/main.ts");
  const killFile = join(folder.path, "kill");
  const args = [
    program,
    "serve",
    "--port=0",
    `--data=${folder.path}/data`,
    "--drain=0s",
    `--workers=${count}`,
    ...flags,
  ];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      NODE_OPTIONS: `${nodeOptions} --import=data:text/javascript,${encodeURIComponent(killer)}`,
      KILL_FILE: killFile,
      ...(flags.some((flag) => flag.startsWith("--jwt-secret-file")) ? {} : { TIDINGS_JWT_SECRET: secret }),
    },
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  const exited = once(child, "exit").then(([code]) => code as number | null);
  atEnd(async () => {
    child.kill("SIGKILL");
    await exited;
    folder[Symbol.dispose]();
  });
  return { child, exited, log: () => log, killThread: () => writeFileSync(killFile, "") };
}

async function serve(
  flags: readonly string[] = [],
  folder = new Folder(),
  nodeOptions = "",
  atEnd: (end: End) => unknown = onTestFinished,
): Promise<Served> {
  const { child, exited, log, killThread } = run(folder, flags, nodeOptions, atEnd);
  if (!child.stdout) throw new Error("no pipe");
  const first = once(createInterface({ input: child.stdout }), "line") as Promise<[string]>;
  const line = await Promise.race([first.then(([text]) => JSON.parse(text)), exited.then(() => undefined)]);
  if (line === undefined) throw new Error(`the server ended before it was ready: ${log()}`);
  return { child, exited, log, killThread, line, address: line.address, folder };
}

function tokenOf(sub: string, role: "user" | "service" = "user", key = secret): Promise<string> {
  return mintToken(key, { sub, tenant, role, exp: Math.floor(Date.now() / 1000) + 3_600 });
}

/** A server with a heap limit, for the tests that neither change nor end their server. */
let common: Served;
const ends: End[] = [];
beforeAll(async () => {
  common = await serve([], new Folder(), "--max-old-space-size=800", (end) => ends.push(end));
}, 60_000);
afterAll(() => Promise.all(ends.map((end) => end())));

/** A stream over the bridge. */
class Page {
  readonly socket: WebSocket;
  readonly messages: string[] = [];
  /** The titles of the messages for which it alerts. */
  readonly alerts: string[] = [];
  /** Resolves with "live", or with the reason of a stream that was refused. */
  readonly opened: Promise<string>;
  readonly closed: Promise<unknown>;
  goAway: string | undefined;

  constructor(address: string, token: string) {
    this.socket = new WebSocket(`${address.replace("http", "ws")}/ws`, "tidings.v1.json");
    this.socket.on("open", () => this.socket.send(JSON.stringify({ token, subscribe: {} })));
    this.closed = once(this.socket, "close");
    this.socket.on("error", () => {});
    this.opened = new Promise((resolve) => {
      this.socket.on("message", (data) => {
        const { caughtUp, goAway, message } = JSON.parse(String(data));
        if (message) this.messages.push(message.title);
        if (message?.alert) this.alerts.push(message.title);
        if (caughtUp) resolve("live");
        if (!goAway) return;
        this.goAway = goAway.reason;
        resolve(goAway.reason);
      });
      this.closed.then(() => resolve("closed"));
    });
  }
}

async function openPages(address: string, number: number, name: (index: number) => string): Promise<Page[]> {
  const names = Array.from({ length: number }, (_, index) => name(index));
  const pages = await Promise.all(names.map(async (sub) => new Page(address, await tokenOf(sub))));
  await Promise.all(pages.map(({ opened }) => opened));
  return pages;
}

async function call(address: string, method: string, body: object, token?: string): Promise<Response> {
  const headers = {
    "content-type": "application/json",
    authorization: `Bearer ${token ?? (await tokenOf("backend", "service"))}`,
    // A connection of its own, so that any thread may get it.
    connection: "close",
  };
  return fetch(`${address}/tidings.v1.PushService/${method}`, { method: "POST", headers, body: JSON.stringify(body) });
}

async function publish(address: string, title: string, audience: object = { tenant: true }): Promise<void> {
  const response = await call(address, "Publish", { audience, message: { kind: "KIND_NOTIFICATION", title } });
  expect(response.status, await response.text()).toBe(200);
}

test("A message that one connection publishes reaches the streams of all threads, in one order", async () => {
  const { address, line, child, exited, folder } = await serve();
  expect(line).toMatchObject({ pid: child.pid, workers: count });
  const pages = await openPages(address, many, (index) => `user-${index}`);
  const titles = Array.from({ length: 12 }, (_, index) => `message ${index}`);
  for (const title of titles) await publish(address, title);
  await expect.poll(() => pages.every(({ messages }) => messages.length === titles.length)).toBe(true);
  expect(new Set(pages.map(({ messages }) => messages.join()))).toEqual(new Set([titles.join()]));
  const online = await Promise.all(Array.from({ length: 9 }, () => call(address, "OnlineCount", {})));
  for (const answer of online) expect(await answer.json()).toMatchObject({ users: many, connections: many });

  child.kill("SIGTERM");
  expect(await exited).toBe(0);
  expect(new Set(pages.map(({ goAway }) => goAway))).toEqual(new Set(["SERVER_DRAINING"]));
  // The store was closed after the last thread, and everything is in it.
  const next = await serve([], folder);
  const list = await call(next.address, "ListUnread", { pageSize: 100 }, await tokenOf("user-0"));
  expect((await list.json()).messages).toHaveLength(titles.length);
  next.child.kill("SIGINT");
  expect(await next.exited).toBe(0);
});

test("One of a user's pages alerts for a message, whichever threads they are on", async () => {
  const { address } = common;
  const pages = await openPages(address, many, () => "ann");
  const titles = Array.from({ length: 5 }, (_, index) => `message ${index}`);
  for (const title of titles) await publish(address, title, { userId: "ann" });
  await expect.poll(() => pages.every(({ messages }) => messages.length === titles.length)).toBe(true);
  expect(pages.flatMap(({ alerts }) => alerts).sort()).toEqual(titles);
});

test("A limit on the streams of a user is that of the process, and a thread that dies gives back what it had", async () => {
  const { address, killThread, log } = await serve(["--max-streams-per-user=6"]);
  const outcomes = async () => {
    const pages = [];
    // One after the other: threads that open streams of a user at the same moment may exceed the limit by one each.
    for (let index = 0; index < many; index++) pages.push(...(await openPages(address, 1, () => "ann")));
    return pages;
  };
  const pages = await outcomes();
  const live: Page[] = [];
  for (const page of pages) if ((await page.opened) === "live") live.push(page);
  expect(live).toHaveLength(6);
  expect(new Set(pages.map(({ goAway }) => goAway))).toEqual(new Set([undefined, "TOO_MANY_STREAMS"]));
  killThread();
  await expect.poll(log, { timeout: 30_000 }).toContain("a thread died; starting a replacement");
  for (const { socket } of live) socket.terminate();
  await expect
    .poll(async () => (await openPages(address, 1, () => "ann"))[0]?.goAway, { timeout: 30_000 })
    .toBeUndefined();
});

test("A thread that dies is replaced, the others go on, and no counter of the process falls", async () => {
  const { address, line, log, killThread, child, exited } = await serve(["--metrics-address=127.0.0.1:0"]);
  const pages = await openPages(address, many, (index) => `user-${index}`);
  await publish(address, "before");
  await expect.poll(() => pages.every(({ messages }) => messages.length === 1)).toBe(true);
  const url = line.metrics as string;
  const before = await scrape(url);
  expect(before.value("tidings_event_loops")).toBe(count);
  expect(before.value("tidings_streams")).toBe(many);
  expect(before.value("tidings_streams_opened_total")).toBe(many);
  expect(before.value("tidings_messages_published_total")).toBe(1);
  expect(before.value("tidings_messages_delivered_total")).toBe(many);
  expect(before.value("tidings_presence_leases")).toBe(many);
  expect(before.value("tidings_store_commit_duration_seconds_count")).toBeGreaterThan(0);
  expect(before.value("tidings_store_usable")).toBe(1);
  expect(before.value("process_resident_memory_bytes")).toBeLessThan(1e9);

  killThread();
  await expect.poll(log, { timeout: 30_000 }).toContain("a thread died; starting a replacement");
  expect(log()).toContain("killed by the test");
  const alive = () => pages.filter(({ socket }) => socket.readyState === WebSocket.OPEN);
  await expect.poll(() => alive().length).toBeLessThan(many);
  expect(alive().length).toBeGreaterThan(0);
  await publish(address, "after");
  await expect.poll(() => alive().every(({ messages }) => messages.join() === "before,after")).toBe(true);
  const after = await scrape(url);
  expect(after.value("tidings_streams")).toBe(alive().length);
  expect(after.value("tidings_messages_delivered_total")).toBe(many + alive().length);
  expect(after.value("tidings_streams_opened_total")).toBe(many);
  // The replacement takes connections, too.
  const more = await openPages(address, many, (index) => `user-${index}`);
  await publish(address, "last");
  await expect.poll(() => more.every(({ messages }) => messages.at(-1) === "last")).toBe(true);
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
});

test("SIGHUP gives every thread the secrets that the file has by then", async () => {
  const folder = new Folder();
  const file = folder.file("secrets", `${secret}\n`);
  const { address, child, log } = await serve([`--jwt-secret-file=${file}`], folder);
  const fresh = secret.split("").reverse().join("");
  const statuses = async () => {
    const token = await tokenOf("ann", "user", fresh);
    const answers = Array.from({ length: many }, () => call(address, "ListUnread", {}, token));
    return new Set((await Promise.all(answers)).map(({ status }) => status));
  };
  expect(await statuses()).toEqual(new Set([401]));
  folder.file("secrets", `${fresh}\n${secret}\n`);
  child.kill("SIGHUP");
  await expect.poll(log).toContain("secrets and certificates were read again");
  await expect.poll(statuses).toEqual(new Set([200]));
});

test("The heap limit of the process, also one that the flags of Node set, is divided among the threads", async () => {
  const { folder } = common;
  const files = readdirSync(folder.path).filter((name) => name.startsWith("kill-heap-"));
  const limits = files.map((name) => Number(readFileSync(join(folder.path, name), "utf8")) / 2 ** 20);
  expect(limits).toHaveLength(count);
  // V8 adds its semi-spaces to the limit of the flag.
  for (const limit of limits) expect(Math.abs(limit - 800 / count)).toBeLessThan(150);
});

test("A second signal ends the process at once", async () => {
  const { address, child, exited, log } = await serve(["--drain-delay=1h"]);
  await openPages(address, 5, (index) => `user-${index}`);
  child.kill("SIGTERM");
  await expect.poll(log).toContain("draining; a second signal ends the process at once");
  await expect.poll(async () => (await fetch(`${address}/readyz`)).status).toBe(503);
  // A signal within 200 ms of the first counts as its echo.
  await new Promise((resolve) => setTimeout(resolve, 250));
  child.kill("SIGTERM");
  expect(await exited).toBe(1);
});

test("A unix socket is served by one event loop, and the log says why", async () => {
  const folder = new Folder();
  const { line, log } = await serve([`--address=unix:${folder.path}/socket`], folder);
  expect(line).not.toHaveProperty("workers");
  expect(log()).toContain("serving with one event loop: threads cannot share a unix socket");
});

test("A port that another server has is refused, although threads could share it", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen({ port: 0, host: "127.0.0.1", reusePort: true }, resolve));
  onTestFinished(() => void other.close());
  const { port } = other.address() as AddressInfo;
  const { exited, log } = run(new Folder(), [`--port=${port}`]);
  expect(await exited).toBe(1);
  expect(log()).toBe(
    `error: port ${port} on 127.0.0.1 is in use; choose another with --port, or 0 for any free port\n`,
  );
});

test("Of two servers that start on one port at the same time, one is refused", async () => {
  const { port } = await freePort();
  const servers = [0, 1].map(() => run(new Folder(), [`--port=${port}`]));
  const ready = servers.map(async ({ child, exited }) => {
    if (!child.stdout) throw new Error("no pipe");
    return Promise.race([once(createInterface({ input: child.stdout }), "line").then(() => "ready"), exited]);
  });
  expect((await Promise.all(ready)).sort()).toEqual([1, "ready"]);
  expect(servers.map(({ log }) => log()).join("")).toContain(`error: port ${port} on 127.0.0.1 is in use`);
});

test("A port that is held is refused to others, and shared with the threads of the process", async () => {
  const at = await freePort();
  const stopHolding = await holdPort(at);
  onTestFinished(stopHolding);
  await expect(holdPort(at)).rejects.toThrow("EADDRINUSE");
  await tryPort({ ...at, reusePort: true });
  stopHolding();
  (await holdPort(at))();
});

/** A port that nothing has listened on since the kernel chose it. */
async function freePort(): Promise<{ host: string; port: number }> {
  const host = "127.0.0.1";
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ port: 0, host }, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return { host, port };
}

test("A folder that another process uses is an error of the process, reported once", async () => {
  const { folder } = common;
  const { exited, log } = run(new Folder(), [`--data=${folder.path}/data`]);
  expect(await exited).toBe(1);
  expect(log()).toMatch(/^error: .* is in use by another process; stop it or name another folder\n$/);
});
