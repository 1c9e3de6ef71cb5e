/**
 * The thread that owns the database, and its group commit. A commit waits for an fsync, some milliseconds on a disk, so
 * one commit per call would allow a few hundred calls a second. Instead, all calls that have arrived when the thread is
 * free run in one transaction and share its fsync. While it works on one batch, the next one gathers in the store's
 * outbox: the longer a commit takes, the more calls share the next. No timer delays anything: a call that finds the
 * thread idle is committed at once.
 *
 * The answers of a batch leave after its commit, so a call that was answered is on the disk. When the transaction
 * fails, its calls run again in smaller ones, until the calls that fail are alone: a full disk fails writes and no reads,
 * a damaged page fails the calls that need it. A batch without writes runs without a transaction.
 *
 * Between batches the thread deletes what retention by count has hidden, writes tallies that are missing, and checks a
 * large file.
 */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { Commit } from "../../ports/store.ts";
import { type AppendRows, countRows, fromRows, toAnswer } from "./append-rows.ts";
import { Background } from "./background.ts";
import { Clients, type Served } from "./clients.ts";
import { CountTrimmer, type TrimFigures } from "./count-trimmer.ts";
import { Database } from "./database.ts";
import { moved, resultCode } from "./explain.ts";
import { SqliteFeeds } from "./feeds.ts";
import { FileCheck } from "./file-check.ts";
import { SqliteInbox } from "./inbox.ts";
import {
  type Answer,
  type Call,
  type Failure,
  type Opened,
  type ThreadMessage,
  type WorkerData,
  writes,
} from "./protocol.ts";
import { Tallies } from "./tallies.ts";
import { UsageCount } from "./usage-count.ts";

/** Calls that cannot be made in a transaction. `close` is the last call ever. */
const alone: ReadonlySet<string> = new Set(["open", "checkpoint", "close"]);
/** After this many writes in a row that failed alone, the disk is at fault: the rest of the batch fails untried. */
const maxFailures = 8;

class Worker {
  readonly #folder: string;
  readonly #db: Database;
  readonly #feeds: SqliteFeeds;
  readonly #trimmer: CountTrimmer;
  readonly #usage: UsageCount;
  readonly #tallies: Tallies;
  readonly #background: Background;
  readonly #post: (message: ThreadMessage) => void;
  readonly #methods: Readonly<Record<string, (...args: never[]) => unknown>>;
  #answers: Answer[] = [];
  #commits: Commit[] = [];
  /** The last failures of writes that were alone in their transaction, with no success between them. */
  #failures: Failure[] = [];
  #posted: TrimFigures | undefined;

  constructor({ folder, keep, ...options }: WorkerData, post: (message: ThreadMessage) => void) {
    this.#post = post;
    this.#folder = folder;
    this.#db = new Database(folder, options);
    const usage = new UsageCount(this.#db);
    this.#usage = usage;
    const tallies = new Tallies(this.#db);
    this.#tallies = tallies;
    this.#trimmer = new CountTrimmer(this.#db, usage, tallies);
    const feeds = new SqliteFeeds(this.#db, keep, this.#trimmer, usage, tallies);
    const inbox = new SqliteInbox(this.#db, feeds, tallies);
    this.#feeds = feeds;
    const check = new FileCheck(this.#db, (sentence) => post({ type: "progress", sentence }));
    const tasks = [this.#trimmer, usage, tallies, ...(this.#db.isChecked ? [] : [check])];
    this.#background = new Background(tasks, {
      worked: () => {
        usage.commit();
        this.#postTrim();
      },
      failed: (task, error) => {
        feeds.forget();
        if (task !== usage && task !== tallies)
          post({ type: "failed", work: task === check ? "check" : "trim", failure: toFailure(error) });
      },
    });
    this.#background.wake();
    this.#methods = {
      open: (): Opened => ({ info: { secret: this.#db.secret }, files: this.#db.files }),
      checkpoint: this.#db.checkpoint.bind(this.#db),
      close: () => {
        this.#background.close();
        this.#db.close();
      },
      append: (rows: AppendRows) => toAnswer(this.#db.epoch, feeds.append(fromRows(rows))),
      bounds: feeds.bounds.bind(feeds),
      read: feeds.read.bind(feeds),
      recall: feeds.recall.bind(feeds),
      trim: feeds.trim.bind(feeds),
      usage: usage.usage.bind(usage),
      select: inbox.select.bind(inbox),
      countNotifications: inbox.countNotifications.bind(inbox),
      find: inbox.find.bind(inbox),
      batch: inbox.batch.bind(inbox),
      readState: inbox.readState.bind(inbox),
      saveReadState: inbox.saveReadState.bind(inbox),
    };
  }

  /** Serves a batch of calls, and returns their answers. Those that cannot be made in a transaction come last. */
  serve(calls: readonly Call[]): Served {
    const start = performance.now();
    this.#answers = [];
    this.#commits = [];
    this.#failures = [];
    if (!calls.some(isAlone)) this.#runAll(calls);
    else {
      this.#runAll(calls.filter((call) => !isAlone(call)));
      for (const call of calls.filter(isAlone)) this.#answer(call);
    }
    this.#postTrim();
    if (this.#trimmer.hasWork || this.#usage.hasWork || this.#tallies.hasWork)
      this.#background.wake(performance.now() - start);
    return { answers: this.#answers, commits: this.#commits };
  }

  #runAll(calls: readonly Call[]): void {
    const groups = [calls];
    for (let group = groups.pop(); group !== undefined; group = groups.pop()) {
      if (group.some(isWrite)) groups.push(...this.#commit(group).reverse());
      else for (const call of group) this.#answer(call);
    }
  }

  /** Runs calls in one transaction. When it fails, returns the groups in which to try them again. */
  #commit(calls: readonly Call[]): (readonly Call[])[] {
    const [last] = this.#failures;
    if (last && this.#failures.length >= maxFailures) return this.#failAll(calls, last);
    const start = performance.now();
    const answers: Answer[] = [];
    try {
      this.#db.transaction(() => {
        for (const call of calls) answers.push(this.#run(call));
      });
    } catch (error) {
      // Memory must not be ahead of the database.
      this.#feeds.forget();
      if (calls.length > 1) return split(calls, answers.length);
      this.#failures.push(toFailure(error));
      return this.#failAll(calls, toFailure(error));
    }
    this.#usage.commit();
    // Checked after the commit, so that a call is only answered when its files were there to be written.
    if (!this.#db.isInPlace) {
      this.#post({ type: "moved" });
      return this.#failAll(calls, toFailure(moved(this.#folder)));
    }
    this.#answers = this.#answers.length === 0 ? answers : this.#answers.concat(answers);
    this.#commits.push({ messages: countAppended(calls), seconds: (performance.now() - start) / 1000 });
    this.#failures = [];
    return [];
  }

  #failAll(calls: readonly Call[], failure: Failure): [] {
    for (const [id] of calls) this.#answers.push([id, undefined, failure]);
    return [];
  }

  /** Runs a call that writes nothing. Its failure is its own. */
  #answer(call: Call): void {
    try {
      this.#answers.push(this.#run(call));
    } catch (error) {
      this.#answers.push([call[0], undefined, toFailure(error)]);
    }
  }

  #run([id, method, args]: Call): Answer {
    return [id, this.#methods[method]?.(...(args as never[])), undefined];
  }

  #postTrim(): void {
    const { figures } = this.#trimmer;
    if (figures.trimmed === this.#posted?.trimmed && figures.waiting === this.#posted.waiting) return;
    this.#posted = figures;
    this.#post({ type: "trim", figures });
  }
}

function isWrite([, method]: Call): boolean {
  return writes.has(method);
}

function isAlone([, method]: Call): boolean {
  return alone.has(method);
}

/**
 * Splits the calls of a failed transaction, of which `ran` ran to their end. The next one is to blame, if there is one, and
 * is tried alone; otherwise the commit failed, and each half is tried. Reads need no transaction, and are tried first.
 */
function split(calls: readonly Call[], ran: number): (readonly Call[])[] {
  const reads = calls.filter((call) => !isWrite(call));
  const culprit = calls[ran];
  if (culprit && !isWrite(culprit)) return [reads, calls.filter(isWrite)];
  const middle = culprit ? ran : calls.length / 2;
  const groups = [calls.slice(0, middle), culprit ? [culprit] : [], calls.slice(culprit ? ran + 1 : middle)];
  return [reads, ...groups.map((group) => group.filter(isWrite))];
}

function toFailure(error: unknown): Failure {
  return { message: (error as Error).message, code: resultCode(error) };
}

function countAppended(calls: readonly Call[]): number {
  let messages = 0;
  for (const [, method, args] of calls) if (method === "append") messages += countRows(args[0] as AppendRows);
  return messages;
}

function start(port: MessagePort): void {
  new Clients(createServe((message) => port.postMessage(message))).add(port);
}

function createServe(post: (message: ThreadMessage) => void): (calls: readonly Call[]) => Served {
  try {
    const worker = new Worker(workerData as WorkerData, post);
    return (calls) => worker.serve(calls);
  } catch (error) {
    // A database that cannot be opened fails every call, the first of which is `open`.
    return (calls) => ({ answers: calls.map(([id]) => [id, undefined, toFailure(error)]), commits: [] });
  }
}

if (parentPort) start(parentPort);
