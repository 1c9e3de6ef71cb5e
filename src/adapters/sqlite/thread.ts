import { setTimeout as wait } from "node:timers/promises";
import { type MessagePort, Worker } from "node:worker_threads";
import type { Commit } from "../../ports/store.ts";
import { CallError } from "./call-error.ts";
import { CallQueue } from "./call-queue.ts";
import { type DatabaseFiles, memory } from "./database.ts";
import type { Answer, Call, Connection, Opened, ThreadMessage, WorkerData } from "./protocol.ts";

/** Waits before the attempts to open the database again, in ms. */
const reopenMs = [0, 100, 400, 1500, 3000];
/** A thread that dies more often than this within a minute is not restarted: something kills it again and again. */
const maxDeaths = 5;
const deathWindowMs = 60_000;

/** The id of the call that opens the database in a new thread: below those of all calls that may be waiting for it. */
const openId = 0;

/** What happens to a thread. */
export interface ThreadEvents {
  /** A message of the thread, other than answers. */
  message(message: Exclude<ThreadMessage, { readonly type: "answers" }>): void;
  /** A batch of calls has been answered, after these commits. */
  committed(commits: readonly Commit[]): void;
  /** The thread died and is being restarted. */
  died(error: Error): void;
  /** The thread was restarted, and has opened the database again. */
  restarted(opened: Opened): void;
  /** The thread cannot be restarted. All calls fail from now on. */
  failed(error: Error): void;
}

/**
 * The thread of a store, as seen from outside. When it dies, as for want of memory, the calls that it had fail, and a new
 * thread opens the same file; calls that were not sent wait for it.
 */
export class StoreThread {
  readonly #data: WorkerData;
  readonly #events: ThreadEvents;
  readonly #queue = new CallQueue(() => this.#keepAlive());
  #worker: Worker;
  #opened: Opened | undefined;
  /** Answers when the thread that is being started again has opened the database. */
  #reopening: PromiseWithResolvers<Opened> | undefined;
  #isRestarting = false;
  #isClosing = false;
  /** Set once no call can succeed any more. */
  #end: Error | undefined;
  /** When it died, by `performance.now()`. */
  #deaths: number[] = [];

  constructor(data: WorkerData, events: ThreadEvents) {
    this.#data = data;
    this.#events = events;
    this.#worker = this.#start();
    this.#connectQueue();
  }

  /** Opens the database. To be called once, before any other call. */
  async open(): Promise<Opened> {
    try {
      this.#opened = (await this.call("open", [])) as Opened;
      return this.#opened;
    } catch (error) {
      this.#stop(error as Error);
      await this.#worker.terminate();
      throw error;
    }
  }

  /** Makes a call, as `CallQueue.call` does. */
  call(method: string, args: readonly unknown[], read?: string): Promise<unknown> {
    return this.#queue.call(method, args, read);
  }

  /** Whether the thread runs and has the database open. */
  get isUp(): boolean {
    return this.#opened !== undefined && !this.#isRestarting && this.#end === undefined;
  }

  /** Gives the thread the port of a further client. The port closes when the thread dies. */
  connect(port: MessagePort): void {
    this.#worker.postMessage({ connect: port } satisfies Connection, [port]);
  }

  /** Closes the database after the calls in flight, and ends the thread. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#isRestarting) this.#stop(new Error("the store is closed"));
    try {
      if (!this.#end) {
        const closing = this.call("close", []);
        this.#end = new Error("the store is closed");
        await Promise.all([closing, this.#queue.finish(this.#end)]);
      }
    } finally {
      await this.#worker.terminate();
    }
  }

  /** Starts a thread, which opens these files and no others if there are any. */
  #start(expected?: DatabaseFiles): Worker {
    // The worker is worker.ts in the sources, and worker.js in the package.
    const file = new URL(`./worker${import.meta.url.slice(-3)}`, import.meta.url);
    // A restart must not take long, so the file is checked later.
    const workerData = expected ? { ...this.#data, expected, checkBytes: 0 } : this.#data;
    // Without the host's flags: a thread cannot start with those of `node --input-type=module -e '…'`.
    const worker = new Worker(file, { workerData, name: "tidings-store", execArgv: [] });
    let reason = new Error("the thread of the store has ended");
    worker.on("message", (message: ThreadMessage) => {
      if (worker === this.#worker) this.#take(message);
    });
    worker.on("error", (error) => {
      reason = error;
    });
    worker.on("exit", () => {
      if (worker === this.#worker) this.#died(reason);
    });
    if (!this.#queue.isWaiting) worker.unref();
    return worker;
  }

  #connectQueue(): void {
    this.#queue.connect((calls) => this.#worker.postMessage(calls));
  }

  /** Keeps the process alive while something waits for the thread. */
  #keepAlive(): void {
    if (this.#queue.isWaiting || this.#reopening) this.#worker.ref();
    else this.#worker.unref();
  }

  #take(message: ThreadMessage): void {
    if (message.type !== "answers") {
      this.#events.message(message);
      return;
    }
    if (this.#reopening) this.#takeReopened(message.answers);
    else this.#queue.settle(message.answers);
    this.#events.committed(message.commits);
  }

  #takeReopened(answers: readonly Answer[]): void {
    const [, value, failure] = answers.find(([id]) => id === openId) ?? [];
    if (failure) this.#reopening?.reject(new CallError(failure));
    else this.#reopening?.resolve(value as Opened);
  }

  #died(error: Error): void {
    this.#reopening?.reject(error);
    this.#queue.disconnect(error);
    if (this.#isRestarting) return;
    if (!this.#opened || this.#isClosing) this.#stop(error);
    else void this.#restart(this.#opened, error);
  }

  async #restart(opened: Opened, cause: Error): Promise<void> {
    this.#isRestarting = true;
    this.#events.died(cause);
    const error = this.#checkRestart(cause) ?? (await this.#reopen(opened));
    if (this.#end) return;
    if (error) {
      this.#stop(error);
      this.#events.failed(error);
      return;
    }
    this.#isRestarting = false;
    this.#events.restarted(this.#opened as Opened);
    this.#connectQueue();
  }

  /** Returns why the thread must not be restarted, if so. */
  #checkRestart(cause: Error): Error | undefined {
    if (this.#data.folder === memory) return new Error("a database in memory is lost with its thread", { cause });
    const now = performance.now();
    this.#deaths = [...this.#deaths.filter((time) => time > now - deathWindowMs), now];
    if (this.#deaths.length <= maxDeaths) return undefined;
    return new Error(`the store's thread died ${this.#deaths.length} times within a minute`, { cause });
  }

  /** Starts threads until one has opened the files. Returns the last error if none has. */
  async #reopen({ files }: Opened): Promise<Error | undefined> {
    let failure: Error | undefined;
    for (const milliseconds of reopenMs) {
      await wait(milliseconds, undefined, { ref: this.#queue.isWaiting });
      await this.#worker.terminate();
      if (this.#end) return this.#end;
      try {
        this.#worker = this.#start(files);
        this.#reopening = Promise.withResolvers<Opened>();
        this.#keepAlive();
        this.#worker.postMessage([[openId, "open", []]] satisfies Call[]);
        this.#opened = await this.#reopening.promise;
        return undefined;
      } catch (error) {
        failure = error as Error;
      } finally {
        this.#reopening = undefined;
        this.#keepAlive();
      }
    }
    return failure;
  }

  /** Ends all calls, those to come too. */
  #stop(error: Error): void {
    this.#end = error;
    this.#reopening?.reject(error);
    this.#queue.stop(error);
  }
}
