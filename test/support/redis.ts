/** A redis-server for tests: their own, on a free port, or the one that TIDINGS_TEST_REDIS_URL names. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { findTool, pathOf, type Tool } from "./tools.ts";

/** A redis-server that a test may start, stop and break. */
export class TestRedis {
  readonly port: number;
  readonly #program: string;
  readonly #args: readonly string[];
  readonly #lines: readonly string[];
  readonly #folder = mkdtempSync(join(tmpdir(), "tidings-redis-"));
  #process: ChildProcess | undefined;

  /** `lines` go into its configuration, after the port, address and folder. By default it persists nothing. */
  constructor(program: string, port: number, args: readonly string[] = [], lines = ['save ""', "appendonly no"]) {
    this.#program = program;
    this.port = port;
    this.#args = args;
    this.#lines = lines;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, empty. Resolves when it answers. */
  async start(): Promise<void> {
    const file = join(this.#folder, "redis.conf");
    const first = [`port ${this.port}`, "bind 127.0.0.1", `dir ${this.#folder}`];
    writeFileSync(file, [...first, ...this.#lines, ""].join("\n"));
    this.#process = spawn(this.#program, [file, ...this.#args], { stdio: "ignore" });
    await this.#waitUntilUp();
  }

  /** Kills it with SIGKILL: everything that it held is gone. */
  async kill(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const gone = once(running, "exit");
    running.kill("SIGKILL");
    await gone;
  }

  /** Freezes it, its connections open, until the returned function is called. */
  freeze(): () => void {
    this.#process?.kill("SIGSTOP");
    return () => void this.#process?.kill("SIGCONT");
  }

  /** Sends one command. */
  async call(command: string, ...args: string[]): Promise<unknown> {
    const redis = new Redis({ port: this.port, host: "127.0.0.1", protocol: 2 });
    try {
      return await redis.call(command, ...args);
    } finally {
      redis.disconnect();
    }
  }

  /** Kills it and removes its folder. */
  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #waitUntilUp(): Promise<void> {
    while (!(await canConnect(this.port))) await new Promise((resolve) => setTimeout(resolve, 10));
    await this.call("PING");
  }
}

/** The program, for tests that start, stop and break a server of their own. */
export const redisServer = findTool("redis-server", "apt-get install redis-server");

/** Any Redis, for tests that share one. */
export const anyRedis: Tool = process.env.TIDINGS_TEST_REDIS_URL
  ? { name: "Redis", hint: "TIDINGS_TEST_REDIS_URL", path: process.env.TIDINGS_TEST_REDIS_URL }
  : redisServer;

/** Starts a redis-server for one test. */
export async function startRedis(...args: string[]): Promise<TestRedis> {
  const redis = new TestRedis(pathOf(redisServer), await freePort(), args);
  await redis.start();
  return redis;
}

/** Returns the Redis that TIDINGS_TEST_REDIS_URL names, or starts one. Stop it at the end. */
export async function sharedRedis(): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const given = process.env.TIDINGS_TEST_REDIS_URL;
  if (given) return { url: given, stop: async () => {} };
  return startRedis();
}

/** Returns a prefix that no other test uses. */
export function randomPrefix(): string {
  return `test-${randomUUID()}`;
}

/** Returns a port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const done = (connected: boolean) => () => {
      socket.destroy();
      resolve(connected);
    };
    socket.on("connect", done(true)).on("error", done(false));
  });
}
