import type { Logger } from "pino";
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
  StoreFigures,
  StoreHealth,
  StoreInfo,
  TenantUsage,
} from "../../ports/store.ts";
import { guard, warn } from "../../util/guard.ts";
import type { TrimFigures } from "./count-trimmer.ts";
import type { DatabaseFiles } from "./database.ts";
import { damaged, isDamage, moved, resultCodes } from "./explain.ts";
import { FileWatch } from "./file-watch.ts";
import { Health } from "./health.ts";
import { type Failure, type ThreadMessage, type WorkerData, writes } from "./protocol.ts";
import { CallError, StoreThread, type ThreadEvents } from "./thread.ts";

/** Options of an embedded store. */
export interface SqliteOptions extends Pick<WorkerData, "folder" | "keep" | "checkBytes"> {
  /** Gets what an operator should know besides the health of the store. Default: silent. */
  readonly logger?: Logger | undefined;
}

/**
 * Port Store on SQLite: one file, in WAL mode, with an fsync at each commit, on a thread of its own. This side sends
 * the calls to that thread; worker.ts explains the group commit.
 */
export class SqliteStore implements Store {
  readonly #folder: string;
  readonly #logger: Logger | undefined;
  readonly #thread: StoreThread;
  readonly #health = new Health();
  #watch: FileWatch | undefined;
  #trim: TrimFigures = { trimmed: 0, waiting: 0, seconds: 0 };
  /** Of threads that have died. */
  #trimmedBefore: TrimFigures = this.#trim;
  #isTrimFailing = false;
  #isDiskFull = false;
  #checkpointFailures = 0;
  #restarts = 0;
  #closing: Promise<void> | undefined;

  /** Starts the thread. `committed` is called after every commit. */
  constructor({ logger, ...data }: SqliteOptions, committed: CommitListener = () => {}) {
    this.#folder = data.folder;
    this.#logger = logger;
    this.#thread = new StoreThread(data, this.#events(committed));
  }

  async open(): Promise<StoreInfo> {
    const { info, files } = await this.#thread.open();
    if (files && !this.#closing) this.#watch = this.#watchFiles(files);
    return info;
  }

  close(): Promise<void> {
    this.#watch?.close();
    this.#closing ??= this.#thread.close();
    return this.#closing;
  }

  watch(listener: (health: StoreHealth) => void): () => void {
    return this.#health.watch(listener);
  }

  figures(): StoreFigures {
    const { trimmed, waiting, seconds } = this.#trim;
    return {
      trimmed: this.#trimmedBefore.trimmed + trimmed,
      untrimmed: waiting,
      trimSeconds: this.#trimmedBefore.seconds + seconds,
      walBytes: this.#watch?.walBytes ?? 0,
      checkpointFailures: this.#checkpointFailures,
      restarts: this.#restarts,
    };
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

  usage(tenant: string): Promise<TenantUsage> {
    return this.#ask("usage", tenant);
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

  async #ask<T>(method: string, ...args: unknown[]): Promise<T> {
    try {
      if (writes.has(method)) this.#checkWritable();
      return (await this.#thread.call(method, args)) as T;
    } catch (cause) {
      throw fail("STORE_UNAVAILABLE", "the store did not answer; repeat the request", { cause, retryAfterMs: 1000 });
    }
  }

  /** What would be written now would be lost: with the folder, or when a damaged file is replaced by a backup. */
  #checkWritable(): void {
    if (this.#health.works("folder") && this.#health.works("content")) return;
    throw new Error(this.#health.current.reason);
  }

  #events(committed: CommitListener): ThreadEvents {
    return {
      message: (message) => this.#take(message),
      committed: (commits) => {
        // The listener belongs to another program, and its error in an event of the thread would end the process.
        for (const commit of commits) guard(warn, () => committed(commit));
      },
      died: (error) => {
        if (this.#watch) this.#watch.files = undefined;
        this.#health.set("thread", `the store's thread died (${error.message}) and is being restarted`);
        const { trimmed, seconds } = this.#trim;
        const before = this.#trimmedBefore;
        this.#trimmedBefore = { trimmed: before.trimmed + trimmed, waiting: 0, seconds: before.seconds + seconds };
        this.#trim = { trimmed: 0, waiting: 0, seconds: 0 };
      },
      restarted: ({ files }) => {
        this.#restarts++;
        if (this.#watch) this.#watch.files = files;
        this.#health.set("thread", undefined);
      },
      failed: (error) => {
        this.#watch?.close();
        this.#health.fail(`the store's thread died and cannot be restarted: ${error.message}`);
      },
    };
  }

  #take(message: Exclude<ThreadMessage, { readonly type: "answers" }>): void {
    switch (message.type) {
      case "trim":
        this.#trim = message.figures;
        this.#isTrimFailing = false;
        break;
      case "progress":
        this.#logger?.info(message.sentence);
        break;
      case "moved":
        this.#health.set("folder", moved(this.#folder).message);
        break;
      case "failed":
        if (message.work === "check") this.#checkFailed(message.failure);
        else this.#trimFailed(message.failure);
    }
  }

  #checkFailed(failure: Failure): void {
    if (isDamage(failure.code)) this.#health.set("content", damaged(this.#folder, failure.message).message);
    else this.#logger?.warn({ err: new CallError(failure) }, "the data folder could not be checked; it is tried again");
  }

  #trimFailed(failure: Failure): void {
    if (!this.#isTrimFailing) this.#logger?.warn({ err: new CallError(failure) }, "trimming failed; it is tried again");
    this.#isTrimFailing = true;
  }

  #watchFiles(files: DatabaseFiles): FileWatch {
    return new FileWatch(files, {
      moved: (isMoved) => this.#health.set("folder", isMoved ? moved(this.#folder).message : undefined),
      checkpoint: (truncate) => this.#thread.call("checkpoint", [truncate]),
      checkpointed: (error) => this.#checkpointed(error),
    });
  }

  #checkpointed(error: unknown): void {
    // A call that did not get to the database says nothing about it.
    if (error !== undefined && !(error instanceof CallError)) return;
    if (error) this.#checkpointFailures++;
    // A full disk fails writes, which says enough; reading goes on.
    const isFull = error?.code === resultCodes.full;
    if (isFull && !this.#isDiskFull)
      this.#logger?.warn("the disk is full: the write-ahead log grows until there is space");
    this.#isDiskFull = isFull;
    this.#health.set("checkpoint", error && !isFull ? this.#describeLog(error) : undefined);
  }

  #describeLog({ message }: Error): string {
    return `the write-ahead log of data folder ${this.#folder} cannot be written into tidings.db (${message}), and grows`;
  }
}
