/** Pages in several processes: in a single one, work for one page would delay all others. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A condition of a page: all parts that are set. */
export interface PageCondition {
  readonly live?: true;
  /** A stream has caught up since the times were cleared. */
  readonly caughtUp?: true;
  /** The page has at least this many messages. */
  readonly titles?: number;
}

/** Everything that a page has received. Times are in ms since the Unix epoch. */
export interface PageRecord {
  readonly titles: readonly string[];
  readonly helloAt: readonly number[];
  readonly caughtUpAt: readonly number[];
}

/** A call of a process: a condition asks for the number of pages for which it holds. */
export interface Call {
  readonly id: number;
  readonly command: PageCondition | "records" | "clear times";
}

/** The result of the call with this id; of id 0 when the process has started. */
export interface Result {
  readonly id: number;
  readonly value: number | readonly PageRecord[];
}

const program = join(import.meta.dirname, "page-process.ts");
const pollMs = 100;

/** Pages of many users, one each, in several processes. */
export class PageProcesses {
  readonly #children: readonly ChildProcess[];
  readonly #users: number;
  #calls = 0;

  private constructor(children: readonly ChildProcess[], users: number) {
    this.#children = children;
    this.#users = users;
  }

  /** Opens one page for each user at a URL, spread over `processes` processes. */
  static async open(url: string, tenant: string, users: number, processes: number): Promise<PageProcesses> {
    const part = Math.ceil(users / processes);
    const children = Array.from({ length: processes }, (_, index) =>
      fork(program, [url, tenant, String(Math.min(part, users - index * part)), String(index * part)], {
        execArgv: [],
      }),
    );
    const pages = new PageProcesses(children, users);
    try {
      await Promise.all(children.map((child) => resultOf(child, 0)));
    } catch (error) {
      await pages.close();
      throw error;
    }
    return pages;
  }

  /** Waits until a condition holds for every page. Resolves with the number of pages for which it did not hold in time. */
  async waitFor(condition: PageCondition, timeoutMs: number): Promise<number> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const counts = await this.#call<number>(condition);
      const missing = this.#users - counts.reduce((sum, count) => sum + count, 0);
      if (missing === 0 || performance.now() > end) return missing;
      await sleep(pollMs);
    }
  }

  /** Clears the times of all pages. */
  async clearTimes(): Promise<void> {
    await this.#call("clear times");
  }

  /** The records of all pages. */
  async records(): Promise<PageRecord[]> {
    return (await this.#call<PageRecord[]>("records")).flat();
  }

  /** Kills the processes, and their pages with them. */
  async close(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const exit = once(child, "exit");
        child.kill("SIGKILL");
        await exit;
      }),
    );
  }

  #call<T>(command: Call["command"]): Promise<T[]> {
    const id = ++this.#calls;
    return Promise.all(
      this.#children.map((child) => {
        const result = resultOf<T>(child, id);
        if (child.connected) child.send({ id, command } satisfies Call);
        return result;
      }),
    );
  }
}

/** Resolves with the result of a call. Rejects when the process ends before. */
function resultOf<T>(child: ChildProcess, id: number): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const listen = (message: Result) => {
    if (message.id !== id) return;
    child.off("message", listen).off("exit", ended);
    resolve(message.value as T);
  };
  const ended = () => reject(new Error("a process with pages has ended"));
  child.on("message", listen).once("exit", ended);
  if (!child.connected) ended();
  return promise;
}
