import { Worker } from "node:worker_threads";
import { fail } from "../../errors.ts";
import type {
  Append,
  AppendResult,
  BatchPage,
  CommitListener,
  Entry,
  FeedBounds,
  FeedKey,
  FeedSlice,
  MessageLocation,
  NotificationCount,
  Recalled,
  Selection,
  SeqRanges,
  Store,
  StoredReadState,
  StoreInfo,
} from "../../ports/store.ts";
import { guard, warn } from "../../util/guard.ts";
import type { Answer, Answers, Call, WorkerData } from "./worker.ts";

/** The most calls in flight. Further ones are refused, so that a slow disk cannot fill the memory. */
const maxPending = 50_000;

interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/**
 * Port Store on SQLite: one file, in WAL mode, with an fsync at each commit, on a thread of its own. This side sends
 * the calls to that thread, all calls of one event-loop tick in one message; worker.ts explains the group commit.
 */
export class SqliteStore implements Store {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #outbox: Call[] = [];
  #nextId = 1;
  #busy = false;
  #closed = false;
  #closing: Promise<void> | undefined;

  /** Starts the thread. `committed` is called after every commit. */
  constructor(options: WorkerData, committed: CommitListener = () => {}) {
    // The worker is worker.ts in the sources, and worker.js in the package.
    const file = new URL(`./worker${import.meta.url.slice(-3)}`, import.meta.url);
    // Without the host's flags: a thread cannot start with those of `node --input-type=module -e '…'`.
    this.#worker = new Worker(file, { workerData: options, name: "tidings-store", execArgv: [] });
    this.#worker.on("message", ({ answers, commit }: Answers) => {
      this.#busy = false;
      this.#settle(answers);
      this.#flush();
      // The listener belongs to another program, and its error in an event of the thread would end the process.
      if (commit) guard(warn, () => committed(commit));
    });
    this.#worker.on("error", (error) => this.#failAll(error));
    this.#worker.on("exit", () => this.#failAll(new Error("the thread of the store has ended")));
    this.#worker.unref();
  }

  async open(): Promise<StoreInfo> {
    try {
      return (await this.#call("open", [])) as StoreInfo;
    } catch (error) {
      await this.#worker.terminate();
      throw error;
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  append(messages: readonly Append[]): Promise<readonly AppendResult[]> {
    return this.#ask("append", messages);
  }

  bounds(feeds: readonly FeedKey[]): Promise<readonly FeedBounds[]> {
    return this.#ask("bounds", feeds);
  }

  read(feed: FeedKey, after: number, upTo: number, limit: number, now: number): Promise<FeedSlice> {
    return this.#ask("read", feed, after, upTo, limit, now);
  }

  recall(tenant: string, ids: readonly string[]): Promise<readonly Recalled[]> {
    return this.#ask("recall", tenant, ids);
  }

  trim(before: number, now: number): Promise<number> {
    return this.#ask("trim", before, now);
  }

  select(selection: Selection): Promise<readonly Entry[]> {
    return this.#ask("select", selection);
  }

  countNotifications(
    feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[],
    now: number,
  ): Promise<NotificationCount> {
    return this.#ask("countNotifications", feeds, now);
  }

  batch(tenant: string, batchId: string, after: string, limit: number, now: number): Promise<BatchPage> {
    return this.#ask("batch", tenant, batchId, after, limit, now);
  }

  find(feeds: readonly FeedKey[], ids: readonly string[]): Promise<readonly MessageLocation[]> {
    return this.#ask("find", feeds, ids);
  }

  readState(tenant: string, user: string): Promise<StoredReadState> {
    return this.#ask("readState", tenant, user);
  }

  saveReadState(tenant: string, user: string, state: StoredReadState): Promise<boolean> {
    return this.#ask("saveReadState", tenant, user, state);
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    const closing = this.#call("close", []);
    this.#closed = true;
    await closing;
    await this.#worker.terminate();
  }

  async #ask<T>(method: string, ...args: unknown[]): Promise<T> {
    try {
      return (await this.#call(method, args)) as T;
    } catch (cause) {
      throw fail("STORE_UNAVAILABLE", "the store did not answer; repeat the request", { cause, retryAfterMs: 1000 });
    }
  }

  #call(method: string, args: readonly unknown[]): Promise<unknown> {
    if (this.#closed) return Promise.reject(new Error("the store is closed"));
    if (this.#pending.size >= maxPending) return Promise.reject(new Error("too many calls are waiting for the store"));
    const id = this.#nextId++;
    if (this.#outbox.push([id, method, args]) === 1) setImmediate(() => this.#flush());
    if (this.#pending.size === 0) this.#worker.ref();
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }

  /** Sends the calls that are waiting, unless a message is in flight: its answer sends them then. */
  #flush(): void {
    if (this.#busy || this.#outbox.length === 0) return;
    const calls = this.#outbox;
    this.#busy = true;
    this.#outbox = [];
    this.#worker.postMessage(calls);
  }

  #settle(answers: readonly Answer[]): void {
    for (const [id, value, error] of answers) {
      const pending = this.#pending.get(id);
      this.#pending.delete(id);
      if (error) pending?.reject(error);
      else pending?.resolve(value);
    }
    if (this.#pending.size === 0) this.#worker.unref();
  }

  #failAll(error: Error): void {
    this.#closed = true;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
