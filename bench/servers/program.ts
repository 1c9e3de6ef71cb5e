/** Programs that are not part of this repository. */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { residentBytes } from "../process/child.ts";

/** The path of a program on the PATH; undefined when it is not there. */
export function findProgram(name: string): string | undefined {
  return (process.env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** A running program with a temporary folder, which is removed when the program ends. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;

  /** Its stdin is a pipe, so that a program can end with the benchmark. */
  constructor(path: string, args: (folder: string) => string[], environment: Readonly<Record<string, string>> = {}) {
    this.#folder = mkdtempSync(join(tmpdir(), "tidings-bench-"));
    const env = { ...process.env, ...environment };
    this.#child = spawn(path, args(this.#folder), { stdio: ["pipe", "ignore", "ignore"], env });
    this.#child.on("error", () => {});
    this.#child.stdin?.on("error", () => {});
  }

  /** Whether it has ended. */
  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** The CPU time of all its threads so far, in µs. */
  async cpu(): Promise<number> {
    return [...this.threads().values()].reduce((sum, time) => sum + time, 0);
  }

  /** The CPU time of each thread so far, in µs, by id: the first field of its schedstat, which is in ns (proc(5)). */
  threads(): ReadonlyMap<string, number> {
    const tasks = `/proc/${this.#child.pid}/task`;
    const timeOf = (task: string) => Number(readFileSync(join(tasks, task, "schedstat"), "utf8").split(" ")[0]) / 1000;
    return new Map(readdirSync(tasks).map((task) => [task, timeOf(task)]));
  }

  /** Its resident memory, in bytes. */
  resident(): number {
    return residentBytes(this.#child.pid);
  }

  /** Kills the program: with open connections, a polite end would take some of them half a minute. */
  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    if (!this.hasEnded && this.#child.kill("SIGKILL")) await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A port that no server uses at the moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Connects to a program that is starting. Rejects when it does not listen within a minute, and when it ends. */
export async function dial(port: number, program: Program): Promise<Socket> {
  for (let attempt = 0; ; attempt++) {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    try {
      await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
      socket.on("error", () => {}).resume();
      return socket;
    } catch (error) {
      if (attempt === 600 || program.hasEnded) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
