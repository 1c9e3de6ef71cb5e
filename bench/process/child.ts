import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

interface PendingCall {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** The folder for CPU profiles of servers; undefined when they are not profiled. */
let profileFolder: string | undefined;

/**
 * Servers that start after this call write CPU profiles of their main thread and their workers into this folder when they
 * end. Chrome's DevTools and `bench/profile.ts` read them.
 */
export function profileInto(folder: string): void {
  profileFolder = folder;
}

/** Profiling is asked for by the environment, which threads read as well; the store's thread takes over no flags. */
function profilingEnvironment(): NodeJS.ProcessEnv {
  if (profileFolder === undefined) return process.env;
  const options = `${process.env.NODE_OPTIONS ?? ""} --cpu-prof --cpu-prof-dir="${profileFolder}"`;
  return { ...process.env, NODE_OPTIONS: options };
}

/** How a process starts. */
export interface Launch {
  /** Flags of Node, such as `--max-semi-space-size=4`. */
  readonly flags?: readonly string[];
  /** A program that runs instead of Node and a file, and that understands the same commands. */
  readonly program?: string;
}

/** The resident memory of a process as an operator sees it, in bytes; NaN where there is no /proc. */
export function residentBytes(pid: number | undefined): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
  } catch {
    return Number.NaN;
  }
}

/** A process of the benchmark. It runs commands that arrive as lines on stdin, in order; see `serveCommands`. */
export class Child implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #pending: PendingCall[] = [];
  readonly #exited: Promise<void>;
  #ended = false;

  /** Starts a file, given by its path below bench/. Node raises its own limit of open files to the hard limit. */
  constructor(file: string, { flags = [], program }: Launch = {}) {
    const args = program === undefined ? [...flags, "--expose-gc", join(import.meta.dirname, "..", file)] : [];
    this.#child = spawn(program ?? process.execPath, args, {
      env: file.startsWith("servers/") ? profilingEnvironment() : process.env,
      stdio: ["pipe", "pipe", "inherit"],
    });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on("line", (line) => this.#settle(line));
    this.#child.stdin?.on("error", () => {});
    this.#child.on("error", () => {});
    this.#exited = new Promise((resolve) =>
      this.#child.once("close", () => {
        this.#ended = true;
        for (const { reject } of this.#pending) reject(new Error(`${file} has ended`));
        resolve();
      }),
    );
  }

  /** The id of the process. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Runs a command and resolves with its result. Rejects with the error of the command, and when the process ends. */
  call<T>(command: string, argument?: unknown): Promise<T> {
    if (this.#ended) return Promise.reject(new Error("the process has ended"));
    this.#child.stdin?.write(`${JSON.stringify({ command, argument })}\n`);
    return new Promise<T>((resolve, reject) => {
      this.#pending.push({ resolve, reject });
    });
  }

  /** The CPU time of all its threads so far, user and system, in µs. */
  cpu(): Promise<number> {
    return this.call("cpu");
  }

  /** Its resident memory after a garbage collection, in bytes. */
  rss(): Promise<number> {
    return this.call("rss");
  }

  /** Its resident memory as it is, without a garbage collection, in bytes. */
  resident(): number {
    return residentBytes(this.pid);
  }

  /** The memory of its objects after a garbage collection: V8's heap, and the buffers outside of it, in bytes. */
  heap(): Promise<number> {
    return this.call("heap");
  }

  /** Ends the process and waits until it has exited. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    await this.#exited;
  }

  #settle(line: string): void {
    const call = this.#pending.shift();
    const { value, error } = JSON.parse(line) as { value: never; error?: string };
    if (error === undefined) call?.resolve(value);
    else call?.reject(new Error(error));
  }
}
