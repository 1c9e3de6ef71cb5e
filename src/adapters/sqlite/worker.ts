/**
 * The thread that owns the database. Whatever has arrived when it wakes is one transaction: under load the batches form
 * by themselves, idle adds no delay, and no answer leaves before its commit is on the disk.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type { Commit } from "../../ports/store.ts";
import { Database } from "./database.ts";
import { SqliteFeeds } from "./feeds.ts";
import { SqliteInbox } from "./inbox.ts";

/** A call of the store: a number to answer under, the method's name and its arguments. */
export type Call = readonly [id: number, method: string, args: readonly unknown[]];
/** The answer of a call, or of the first one that failed. */
export type Answer = readonly [id: number, value: unknown, error: Error | undefined];
/** What the thread says: the answers of one commit, and what that was; undefined when nothing was written. */
export interface Answers {
  readonly answers: readonly Answer[];
  readonly commit: Commit | undefined;
}
/** What the thread is started with. */
export interface WorkerData {
  readonly folder: string;
  readonly keep: number;
}

const writes = new Set(["append", "saveReadState", "recall", "trim"]);

class Worker {
  readonly #db: Database;
  readonly #feeds: SqliteFeeds;
  readonly #methods: Readonly<Record<string, (...args: never[]) => unknown>>;

  constructor({ folder, keep }: WorkerData) {
    this.#db = new Database(folder);
    const feeds = new SqliteFeeds(this.#db, keep);
    const inbox = new SqliteInbox(this.#db, feeds);
    this.#feeds = feeds;
    this.#methods = {
      open: () => ({ secret: this.#db.secret }),
      append: feeds.append.bind(feeds),
      bounds: feeds.bounds.bind(feeds),
      read: feeds.read.bind(feeds),
      recall: feeds.recall.bind(feeds),
      trim: feeds.trim.bind(feeds),
      select: inbox.select.bind(inbox),
      countNotifications: inbox.countNotifications.bind(inbox),
      find: inbox.find.bind(inbox),
      batch: inbox.batch.bind(inbox),
      readState: inbox.readState.bind(inbox),
      saveReadState: inbox.saveReadState.bind(inbox),
    };
  }

  /** Serves all calls by one commit. `close` is the last one ever, and comes after the commit of those before it. */
  serve(calls: readonly Call[]): Answers {
    const last = calls.at(-1);
    if (last?.[1] !== "close") return this.#commit(calls);
    const { answers, commit } = this.#commit(calls.slice(0, -1));
    this.#db.close();
    return { answers: [...answers, [last[0], undefined, undefined]], commit };
  }

  /** When the commit fails, all have failed, for any of them may have read what is gone. */
  #commit(calls: readonly Call[]): Answers {
    try {
      if (!calls.some(([, method]) => writes.has(method))) return { answers: this.#run(calls), commit: undefined };
      const start = performance.now();
      const answers = this.#db.transaction(() => this.#run(calls));
      return { answers, commit: { messages: appended(calls), seconds: (performance.now() - start) / 1000 } };
    } catch (error) {
      this.#feeds.forget();
      return { answers: calls.map(([id]) => [id, undefined, error as Error]), commit: undefined };
    }
  }

  #run(calls: readonly Call[]): Answer[] {
    return calls.map(([id, method, args]) => [id, this.#methods[method]?.(...(args as never[])), undefined]);
  }
}

function appended(calls: readonly Call[]): number {
  let messages = 0;
  for (const [, method, args] of calls) if (method === "append") messages += (args[0] as readonly unknown[]).length;
  return messages;
}

function start(port: MessagePort): void {
  let worker: Worker;
  try {
    worker = new Worker(workerData as WorkerData);
  } catch (error) {
    port.on("message", (calls: Call[]) => {
      port.postMessage({ answers: calls.map(([id]) => [id, undefined, error]), commit: undefined });
    });
    return;
  }
  port.on("message", (first: Call[]) => {
    const calls = [...first];
    for (let more = receiveMessageOnPort(port); more; more = receiveMessageOnPort(port))
      calls.push(...(more.message as Call[]));
    port.postMessage(worker.serve(calls));
  });
}

if (parentPort) start(parentPort);
