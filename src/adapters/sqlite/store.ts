import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Logger } from "pino";
import type { CommitListener, Store, StoreFigures, StoreHealth, StoreInfo } from "../../ports/store.ts";
import { guard, warn } from "../../util/guard.ts";
import { Listeners } from "../../util/listeners.ts";
import { CallError } from "./call-error.ts";
import type { TrimFigures } from "./count-trimmer.ts";
import type { DatabaseFiles } from "./database.ts";
import { damaged, isDamage, moved, resultCodes } from "./explain.ts";
import { FileWatch } from "./file-watch.ts";
import { Health } from "./health.ts";
import type { Failure, ThreadMessage, WorkerData } from "./protocol.ts";
import { StoreCalls } from "./store-calls.ts";
import { StoreThread, type ThreadEvents } from "./thread.ts";

/** Options of an embedded store. */
export interface SqliteOptions extends Pick<WorkerData, "folder" | "keep" | "checkBytes"> {
  /** Gets what an operator should know besides the health of the store. Default: silent. */
  readonly logger?: Logger | undefined;
}

/**
 * Port Store on SQLite: one file, in WAL mode, with an fsync at each commit, on a thread of its own. This side sends
 * the calls to that thread; worker.ts explains the group commit.
 */
export class SqliteStore extends StoreCalls implements Store {
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
  readonly #restarted = new Listeners<void>();

  /** Starts the thread. `committed` is called after every commit. */
  constructor({ logger, ...data }: SqliteOptions, committed: CommitListener = () => {}) {
    super();
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

  /** The current health, as watchers get it. */
  get health(): StoreHealth {
    return this.#health.current;
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

  /**
   * Calls `offer` with a port to the store's thread for a further client (protocol.ts), now and after each restart of the
   * thread, until the returned function is called. The store has been opened.
   */
  connect(offer: (port: MessagePort) => void): () => void {
    const connect = () => {
      const { port1, port2 } = new MessageChannel();
      this.#thread.connect(port1);
      offer(port2);
    };
    if (this.#thread.isUp) connect();
    return this.#restarted.add(connect);
  }

  override get writeRefusal(): string | undefined {
    // What is written now would be lost: with the folder, or when a damaged file is replaced by a backup.
    const isSafe = this.#health.works("folder") && this.#health.works("content");
    return isSafe ? undefined : this.#health.current.reason;
  }

  protected override call(method: string, args: readonly unknown[], read?: string): Promise<unknown> {
    return this.#thread.call(method, args, read);
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
        this.#restarted.call();
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
