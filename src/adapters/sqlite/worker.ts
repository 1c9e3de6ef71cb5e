/**
 * The thread that owns the database, and its group commit. A commit waits for an fsync, some milliseconds on a disk, so
 * one commit per call would allow a few hundred calls a second. Instead, all calls that have arrived when the thread is
 * free run in one transaction and share its fsync. While it works on one batch, the next one gathers in the store's
 * outbox: the longer a commit takes, the more calls share the next. No timer delays anything: a call that finds the
 * thread idle is committed at once.
 *
 * The answers of a batch leave after its commit, so a call that was answered is on the disk. When the transaction
 * fails, every call of the batch fails, since any of them may have read what was rolled back. A batch without writes
 * runs without a transaction.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type { Commit } from "../../ports/store.ts";
import { Database } from "./database.ts";
import { SqliteFeeds } from "./feeds.ts";
import { SqliteInbox } from "./inbox.ts";

/** A call: a number that its answer repeats, the name of the method, and its arguments. */
export type Call = readonly [id: number, method: string, args: readonly unknown[]];
/** The answer of a call: its value, or the error that failed its batch. */
export type Answer = readonly [id: number, value: unknown, error: Error | undefined];
/** A message of the thread: the answers of one batch, and its commit, undefined when it wrote nothing. */
export interface Answers {
  readonly answers: readonly Answer[];
  readonly commit: Commit | undefined;
}
/** The options of the thread. */
export interface WorkerData {
  /** The data folder, created if missing, or `:memory:` for a database that is gone when it closes. */
  readonly folder: string;
  /** The number of messages kept per feed. */
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

  /** Serves a batch of calls. `close` is the last call ever; the calls before it are committed first. */
  serve(calls: readonly Call[]): Answers {
    const last = calls.at(-1);
    if (last?.[1] !== "close") return this.#commit(calls);
    const { answers, commit } = this.#commit(calls.slice(0, -1));
    this.#db.close();
    return { answers: [...answers, [last[0], undefined, undefined]], commit };
  }

  /** Runs calls, in one transaction where one of them writes. */
  #commit(calls: readonly Call[]): Answers {
    try {
      if (!calls.some(([, method]) => writes.has(method))) return { answers: this.#run(calls), commit: undefined };
      const start = performance.now();
      const answers = this.#db.transaction(() => this.#run(calls));
      return { answers, commit: { messages: countAppended(calls), seconds: (performance.now() - start) / 1000 } };
    } catch (error) {
      this.#feeds.forget();
      return { answers: calls.map(([id]) => [id, undefined, error as Error]), commit: undefined };
    }
  }

  #run(calls: readonly Call[]): Answer[] {
    return calls.map(([id, method, args]) => [id, this.#methods[method]?.(...(args as never[])), undefined]);
  }
}

function countAppended(calls: readonly Call[]): number {
  let messages = 0;
  for (const [, method, args] of calls) if (method === "append") messages += (args[0] as readonly unknown[]).length;
  return messages;
}

function start(port: MessagePort): void {
  let worker: Worker;
  try {
    worker = new Worker(workerData as WorkerData);
  } catch (error) {
    // A database that cannot be opened fails every call, the first of which is `open`.
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
