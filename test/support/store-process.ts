import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** The modes of store-child.ts. */
export type ChildMode = "hold" | "load" | "fill" | "grow" | "full" | "normal" | "early";

/** Returns the command line of a store in its own process. */
export function childCommand(mode: ChildMode, folder: string): [string, ...string[]] {
  return [process.execPath, join(import.meta.dirname, "store-child.ts"), mode, folder];
}

/** A store in its own process. */
export class StoreProcess {
  /** The complete lines that it has printed. */
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #onLine: () => void = () => {};

  constructor(mode: ChildMode, folder: string, env: NodeJS.ProcessEnv = {}) {
    const [command, ...args] = childCommand(mode, folder);
    this.#child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...env } });
    const { stdout } = this.#child;
    if (!stdout) throw new Error("no stdout");
    const reader = createInterface({ input: stdout });
    reader.on("line", (line) => {
      this.lines.push(line);
      this.#onLine();
    });
    this.#ended = Promise.all([once(this.#child, "close"), once(reader, "close")]).then(() => this.#onLine());
  }

  /** Resolves when it has printed `count` lines. Rejects when it ends before. */
  async waitForLines(count: number): Promise<readonly string[]> {
    const enough = new Promise<void>((resolve) => {
      this.#onLine = () => {
        if (this.lines.length >= count) resolve();
      };
      this.#onLine();
    });
    await Promise.race([enough, this.#ended]);
    if (this.lines.length < count) throw new Error(`the process of the store has ended: ${this.lines.at(-1)}`);
    return this.lines;
  }

  /** Kills it with SIGKILL, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
