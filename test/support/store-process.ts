import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** What store-child.ts does. */
export type ChildMode = "hold" | "load" | "fill" | "full" | "normal" | "early";

/** The command line of a store in a process of its own. */
export function childCommand(mode: ChildMode, folder: string): [string, ...string[]] {
  return [process.execPath, join(import.meta.dirname, "store-child.ts"), mode, folder];
}

/** A store in a process of its own. */
export class StoreProcess {
  /** Complete lines that it has told. */
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #heard: () => void = () => {};

  constructor(mode: ChildMode, folder: string) {
    const [command, ...args] = childCommand(mode, folder);
    this.#child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    const { stdout } = this.#child;
    if (!stdout) throw new Error("no stdout");
    const reader = createInterface({ input: stdout });
    reader.on("line", (line) => {
      this.lines.push(line);
      this.#heard();
    });
    this.#ended = Promise.all([once(this.#child, "close"), once(reader, "close")]).then(() => this.#heard());
  }

  /** Waits for so many lines. Throws when it ends before. */
  async hear(count: number): Promise<readonly string[]> {
    const enough = new Promise<void>((resolve) => {
      this.#heard = () => {
        if (this.lines.length >= count) resolve();
      };
      this.#heard();
    });
    await Promise.race([enough, this.#ended]);
    if (this.lines.length < count) throw new Error(`the store's process has ended: ${this.lines.at(-1)}`);
    return this.lines;
  }

  /** Ends it without a word, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
