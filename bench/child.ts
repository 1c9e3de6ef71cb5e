import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

interface Asked {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** Where each server leaves a CPU profile when it ends, if anywhere; of the main thread and workers. */
let profiles: string | undefined;

/** Servers that start from now on leave a CPU profile in this folder (chrome://inspect and others show it). */
export function profileInto(folder: string): void {
  profiles = folder;
}

/** By the environment, which threads read, too: the store's does not take over the flags of its process. */
function profiling(): NodeJS.ProcessEnv {
  if (profiles === undefined) return process.env;
  return { ...process.env, NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --cpu-prof --cpu-prof-dir="${profiles}"` };
}

/** A process of the benchmark that is asked by lines and answers by lines, in order; see answerCommands. */
export class Child implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #asked: Asked[] = [];
  readonly #exited: Promise<void>;
  #ended = false;

  /** Starts a file of this folder. Node itself raises its limit of open files to the hard one. */
  constructor(file: string) {
    this.#child = spawn(process.execPath, ["--expose-gc", join(import.meta.dirname, file)], {
      stdio: ["pipe", "pipe", "inherit"],
      env: file.startsWith("servers/") ? profiling() : process.env,
    });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on("line", (line) => this.#take(line));
    this.#child.stdin?.on("error", () => {});
    this.#exited = new Promise((resolve) =>
      this.#child.once("close", () => {
        this.#ended = true;
        for (const { reject } of this.#asked) reject(new Error(`${file} has ended`));
        resolve();
      }),
    );
  }

  /** Of the operating system. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Throws what the command threw, or when the process ends. */
  ask<T>(command: string, argument?: unknown): Promise<T> {
    if (this.#ended) return Promise.reject(new Error("the process has ended"));
    this.#child.stdin?.write(`${JSON.stringify({ command, argument })}\n`);
    return new Promise<T>((resolve, reject) => {
      this.#asked.push({ resolve, reject });
    });
  }

  /** CPU time so far of all its threads, user and system, in µs. */
  cpu(): Promise<number> {
    return this.ask("cpu");
  }

  /** Resident memory after a collection, in bytes. */
  rss(): Promise<number> {
    return this.ask("rss");
  }

  /** Ends the process and waits for that. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    await this.#exited;
  }

  #take(line: string): void {
    const asked = this.#asked.shift();
    const { value, error } = JSON.parse(line) as { value: never; error?: string };
    if (error === undefined) asked?.resolve(value);
    else asked?.reject(new Error(error));
  }
}
