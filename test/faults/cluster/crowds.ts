/** A crowd in several processes: so many clients in one would stand still together while it does something for each. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** What may hold of a page: all that is named. */
export interface Holds {
  readonly live?: true;
  /** Its stream has caught up since times were forgotten. */
  readonly caughtUp?: true;
  /** So many messages came, or more. */
  readonly titles?: number;
}

/** What a page has seen. Times are milliseconds since the Unix epoch. */
export interface Seen {
  readonly titles: readonly string[];
  readonly helloAt: readonly number[];
  readonly caughtUpAt: readonly number[];
}

/** What a process is asked. */
export interface Question {
  readonly number: number;
  readonly ask: Holds | "seen" | "forget times";
}

/** What it answers; to 0, when it has begun. */
export interface Answer {
  readonly number: number;
  readonly answer: number | readonly Seen[];
}

const program = join(import.meta.dirname, "crowd-process.ts");
const lookEveryMs = 100;

/** Pages of many users, one each. */
export class Crowds {
  readonly #children: readonly ChildProcess[];
  readonly #users: number;
  #asked = 0;

  private constructor(children: readonly ChildProcess[], users: number) {
    this.#children = children;
    this.#users = users;
  }

  /** Opens pages at an address, in as many processes. */
  static async open(url: string, tenant: string, users: number, processes: number): Promise<Crowds> {
    const part = Math.ceil(users / processes);
    const children = Array.from({ length: processes }, (_, index) =>
      fork(program, [url, tenant, String(Math.min(part, users - index * part)), String(index * part)], {
        execArgv: [],
      }),
    );
    const crowds = new Crowds(children, users);
    try {
      await Promise.all(children.map((child) => answerOf(child, 0)));
    } catch (error) {
      await crowds.close();
      throw error;
    }
    return crowds;
  }

  /** Waits until something holds of every page; answers how many it does not hold of when the time is over. */
  async until(holds: Holds, withinMs: number): Promise<number> {
    const end = performance.now() + withinMs;
    for (;;) {
      const counts = await this.#ask<number>(holds);
      const missing = this.#users - counts.reduce((sum, count) => sum + count, 0);
      if (missing === 0 || performance.now() > end) return missing;
      await sleep(lookEveryMs);
    }
  }

  /** From now on, times are of what comes. */
  async forgetTimes(): Promise<void> {
    await this.#ask("forget times");
  }

  /** What each page has seen. */
  async seen(): Promise<Seen[]> {
    return (await this.#ask<Seen[]>("seen")).flat();
  }

  /** Ends the processes, and their pages with them. */
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

  #ask<T>(ask: Question["ask"]): Promise<T[]> {
    const number = ++this.#asked;
    return Promise.all(
      this.#children.map((child) => {
        const answer = answerOf<T>(child, number);
        if (child.connected) child.send({ number, ask } satisfies Question);
        return answer;
      }),
    );
  }
}

/** Rejects when the process ends instead. */
function answerOf<T>(child: ChildProcess, number: number): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const listen = (message: Answer) => {
    if (message.number !== number) return;
    child.off("message", listen).off("exit", ended);
    resolve(message.answer as T);
  };
  const ended = () => reject(new Error("a process of the crowd ended"));
  child.on("message", listen).once("exit", ended);
  if (!child.connected) ended();
  return promise;
}
