import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";

/** A child process that is asked by lines and answers by lines. */
export class LineProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  constructor(file: string, args: readonly string[]) {
    this.#child = spawn(process.execPath, ["--expose-gc", join(import.meta.dirname, file), ...args], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#reader = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** The next line. Throws when the process has ended. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("the process has ended");
    return value;
  }

  /** Sends a line and waits for the answer. */
  async ask(line: string): Promise<string> {
    this.#child.stdin?.write(`${line}\n`);
    return this.line();
  }

  async stop(): Promise<void> {
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.stdin?.end();
    await exited;
    this.#reader.close();
  }
}

/** A server for as long as `use` takes, with a store of its own unless it is given a folder. */
export async function withServer<T>(
  use: (server: { port: number; rss(): Promise<number> }) => Promise<T>,
  given?: string,
): Promise<T> {
  const folder = given ?? mkdtempSync(join(tmpdir(), "tidings-bench-"));
  const server = new LineProcess("server.ts", [folder]);
  try {
    const port = Number(await server.line());
    return await use({ port, rss: async () => Number(await server.ask("rss")) });
  } finally {
    await server.stop();
    if (!given) rmSync(folder, { recursive: true, force: true });
  }
}
