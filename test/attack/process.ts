/** A process of the suite, which runs commands one after another. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { join } from "node:path";

interface Call {
  readonly command: string;
  readonly argument: unknown;
}

type Result = { readonly value: unknown } | { readonly error: string };

/** The parent's end. */
export class Process {
  readonly #child: ChildProcess;

  /** Starts a program of this folder. A `nice` above 0 lets other processes go first. */
  constructor(program: string, args: readonly string[], nice = 0) {
    this.#child = fork(join(import.meta.dirname, program), args, { execArgv: [] });
    const { pid } = this.#child;
    if (nice > 0 && pid !== undefined) setPriority(pid, nice);
  }

  /** Runs a command and resolves with its result. Rejects when it fails, and when the process ends before. */
  call<T>(command: string, argument?: unknown): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const settle = (result: Result) => {
      this.#child.off("exit", ended);
      if ("error" in result) reject(new Error(result.error));
      else resolve(result.value as T);
    };
    const ended = () => reject(new Error(`the process ended before it answered ${command}`));
    this.#child.once("message", settle).once("exit", ended);
    if (this.#child.connected) this.#child.send({ command, argument } satisfies Call);
    else ended();
    return promise;
  }

  /** Sends a signal that needs no result. */
  tell(command: string): void {
    if (this.#child.connected) this.#child.send({ command, argument: undefined } satisfies Call);
  }

  /** Kills the process, which cuts its connections. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exit;
  }
}

/** The child's end: runs commands as they arrive. One that returns nothing sends no result. */
export function serve(commands: Readonly<Record<string, (argument: never) => unknown>>): void {
  process.on("message", async ({ command, argument }: Call) => {
    try {
      const value = await commands[command]?.(argument as never);
      if (value !== undefined) process.send?.({ value } satisfies Result);
    } catch (error) {
      process.send?.({ error: String((error as Error).stack) } satisfies Result);
    }
  });
  process.on("disconnect", () => process.exit());
}
