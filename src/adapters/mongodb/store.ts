import { type CommandStartedEvent, MongoAPIError, MongoError, MongoServerError } from "mongodb";
import { fail } from "../../errors.ts";
import {
  type Append,
  type AppendResult,
  type BatchPage,
  type CommitListener,
  type Entry,
  type FeedBounds,
  type FeedKey,
  type FeedSlice,
  type MessageLocation,
  type NotificationCount,
  perFeedMs,
  type Recalled,
  type Selection,
  type SeqRanges,
  type Store,
  type StoredReadState,
  type StoreFigures,
  type StoreInfo,
  type TenantUsage,
} from "../../ports/store.ts";
import { Deadline } from "../../util/deadline.ts";
import { Appender } from "./append.ts";
import { BatchWriter } from "./batch-writer.ts";
import { Connection } from "./connection.ts";
import { DoneMarks } from "./done-marks.ts";
import { EntryReader } from "./entries.ts";
import { FeedBoundsReader } from "./feed-bounds.ts";
import { IdempotencyRecords } from "./idempotency-records.ts";
import { MongoInbox } from "./inbox.ts";
import { KnownEnds } from "./known-ends.ts";
import { MongoReadStates } from "./read-states.ts";
import { MongoRecaller } from "./recall.ts";
import { pauseBeforeRetry } from "./retry.ts";
import { type OpenedSchema, openSchema } from "./schema.ts";
import { Trimmer } from "./trim.ts";
import { UnreadCounts } from "./unread-counts.ts";
import { MongoUsage } from "./usage.ts";

/** The most calls in flight. More are refused, so that a slow store cannot fill the memory. */
const maxPending = 50_000;
/** `open` waits for this many times `timeoutMs`, because the servers may be starting together with this node. */
const openTimeouts = 5;
/** A call of `trim` may take this many times `timeoutMs`: nobody waits for it. */
const trimTimeouts = 10;

/** Options of a MongoStore. */
export interface MongoOptions {
  /** `mongodb://host:port/database?options` or `mongodb+srv://…`, with the name of the database. */
  readonly url: string;
  /** Messages kept per feed. */
  readonly keep: number;
  /**
   * After this long without an answer a call is rejected, in ms. Default: 1,800, so that callers know within two
   * seconds.
   */
  readonly timeoutMs?: number;
  /** The least time between two counts of what a tenant has, in ms. Default: 60,000. */
  readonly recountMs?: number;
  /** Called with sentences for operators about what a deployment lacks. */
  readonly warn?: (sentence: string) => void;
  /** Called for every insert of entries that is on a majority. */
  readonly committed?: CommitListener;
  /** Called for every command that is sent, for tests. */
  readonly watch?: (event: CommandStartedEvent) => void;
}

interface Parts {
  readonly bounds: FeedBoundsReader;
  readonly writer: BatchWriter;
  readonly appender: Appender;
  readonly marks: DoneMarks;
  readonly recaller: MongoRecaller;
  readonly trimmer: Trimmer;
  readonly entries: EntryReader;
  readonly inbox: MongoInbox;
  readonly unreadCounts: UnreadCounts;
  readonly states: MongoReadStates;
  readonly usage: MongoUsage;
}

/**
 * Port Store on MongoDB, for any number of nodes on one database. A call is answered only once its writes are on a
 * majority of the servers, and reads only what is; it is rejected with STORE_UNAVAILABLE when the servers do not answer
 * in time.
 *
 * Collections and shard keys: `entries` { f: 1 }, `feeds` and `states` { _id: "hashed" }; `meta` is not sharded.
 *
 * To restore a backup, stop all nodes, restore, run `db.meta.updateOne({ _id: "store" }, { $inc: { epoch: 1 } })`, and
 * start the nodes. Under the new epoch, the positions that clients got after the backup mean nothing any more; under
 * the old one, clients would skip new messages that have the numbers of lost ones.
 */
export class MongoStore implements Store {
  readonly #connection: Connection;
  readonly #keep: number;
  readonly #timeoutMs: number;
  readonly #recountMs: number;
  readonly #warn: (sentence: string) => void;
  readonly #committed: CommitListener;
  readonly #pending = new Set<Promise<unknown>>();
  #parts: Parts | undefined;
  #closed = false;
  #closing: Promise<void> | undefined;

  constructor({
    url,
    keep,
    timeoutMs = 1_800,
    recountMs = 60_000,
    warn = () => {},
    committed = () => {},
    watch,
  }: MongoOptions) {
    this.#connection = new Connection(url, timeoutMs, watch);
    this.#timeoutMs = timeoutMs;
    this.#keep = keep;
    this.#recountMs = recountMs;
    this.#warn = warn;
    this.#committed = committed;
  }

  async open(): Promise<StoreInfo> {
    const end = performance.now() + openTimeouts * this.#timeoutMs;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#open();
      } catch (error) {
        if (isUnanswered(error) && !this.#closed && performance.now() < end) {
          if (attempt === 0) this.#warn(`the store does not answer yet, retrying: ${(error as Error).message}`);
          await pauseBeforeRetry(attempt);
          continue;
        }
        await this.#connection.close();
        throw error;
      }
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  append(messages: readonly Append[]): Promise<readonly AppendResult[]> {
    const entries = messages.reduce((sum, { feeds }) => sum + feeds.length, 0);
    const timeoutMs = this.#timeoutMs + entries * perFeedMs;
    return this.#call(({ appender }, expired) => appender.append(messages, expired), timeoutMs);
  }

  bounds(feeds: readonly FeedKey[]): Promise<readonly FeedBounds[]> {
    return this.#read(({ bounds }) => bounds.bounds(feeds));
  }

  read(feed: FeedKey, after: number, upTo: number, limit: number, now: number): Promise<FeedSlice> {
    return this.#read(({ entries }) => entries.read(feed, after, upTo, limit, now));
  }

  recall(tenant: string, ids: readonly string[]): Promise<readonly Recalled[]> {
    return this.#call(({ recaller }) => recaller.recall(tenant, ids));
  }

  figures(): StoreFigures {
    return this.#parts?.trimmer.figures ?? {};
  }

  now(): Promise<number> {
    return this.#call(() => this.#connection.readClock());
  }

  trim(before: number, now: number): Promise<number> {
    return this.#call(({ trimmer }) => trimmer.trim(before, now), trimTimeouts * this.#timeoutMs);
  }

  usage(tenant: string): Promise<TenantUsage> {
    return this.#read(({ usage }) => usage.usage(tenant));
  }

  select(selection: Selection): Promise<readonly Entry[]> {
    return this.#read(({ inbox }) => inbox.select(selection));
  }

  countNotifications(
    feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[],
    now: number,
  ): Promise<NotificationCount> {
    return this.#read(({ unreadCounts }) => unreadCounts.count(feeds, now));
  }

  batch(tenant: string, batchId: string, after: string, limit: number, now: number): Promise<BatchPage> {
    return this.#read(({ inbox }) => inbox.batch(tenant, batchId, after, limit, now));
  }

  find(feeds: readonly FeedKey[], ids: readonly string[]): Promise<readonly MessageLocation[]> {
    return this.#read(({ inbox }) => inbox.find(feeds, ids));
  }

  readState(tenant: string, user: string): Promise<StoredReadState> {
    return this.#read(({ states }) => states.load(tenant, user));
  }

  saveReadState(tenant: string, user: string, state: StoredReadState): Promise<boolean> {
    return this.#call(({ states }, expired) => states.save(tenant, user, state, expired));
  }

  /** Calls a query until it succeeds: servers fail over, and one that was just elected may know less for a moment. */
  #read<T>(query: (parts: Parts) => Promise<T>): Promise<T> {
    return this.#call(async (parts, expired) => {
      for (let attempt = 0; ; attempt++) {
        try {
          return await query(parts);
        } catch (error) {
          if (expired()) throw error;
          await pauseBeforeRetry(attempt);
        }
      }
    });
  }

  /** Calls `work`, which retries its own writes: it alone can tell what an unanswered attempt has done. */
  async #call<T>(work: (parts: Parts, expired: () => boolean) => Promise<T>, timeoutMs = this.#timeoutMs): Promise<T> {
    try {
      if (this.#closed || !this.#parts) throw new Error("the store is closed");
      if (this.#pending.size >= maxPending) throw new Error("too many calls are waiting for the store");
      const parts = this.#parts;
      const late = () => new Error("the store did not answer in time", { cause: parts.writer.lastError });
      const deadline = new Deadline(timeoutMs, late);
      const answer = deadline.race(work(parts, () => deadline.isOver));
      this.#pending.add(answer);
      try {
        return await answer;
      } finally {
        this.#pending.delete(answer);
      }
    } catch (cause) {
      throw fail("STORE_UNAVAILABLE", "the store did not answer; repeat the request", { cause, retryAfterMs: 1000 });
    }
  }

  async #open(): Promise<StoreInfo> {
    const { replicated, build } = await this.#connection.open();
    const schema = await openSchema(this.#connection, build);
    this.#parts = this.#assemble(schema);
    if (!replicated) {
      this.#warn(
        "the store's server is not a replica set: there is no majority, so a message is only as durable as its disk, and " +
          "while it is away every publish fails",
      );
    }
    if (schema.database.caveat) this.#warn(schema.database.caveat);
    return { secret: schema.secret, timeoutMs: this.#timeoutMs };
  }

  #assemble({ database, epoch }: OpenedSchema): Parts {
    const known = new KnownEnds();
    const bounds = new FeedBoundsReader(database, known, { epoch, keep: this.#keep });
    const trimmer = new Trimmer(database, bounds);
    const appended = trimmer.appended.bind(trimmer);
    const writer = new BatchWriter(database, bounds, known, { appended, committed: this.#committed });
    const records = new IdempotencyRecords(database, (error) => {
      writer.lastError = error;
    });
    const marks = new DoneMarks(database);
    const recaller = new MongoRecaller(database, bounds);
    const entries = new EntryReader(database, bounds, known);
    const usage = new MongoUsage(database, this.#recountMs);
    const stored = usage.appended.bind(usage);
    return {
      bounds,
      writer,
      marks,
      trimmer,
      recaller,
      entries,
      appender: new Appender(database, { writer, records, marks, recaller, epoch, stored }),
      inbox: new MongoInbox(database, bounds, entries),
      unreadCounts: new UnreadCounts(database, bounds),
      states: new MongoReadStates(database),
      usage,
    };
  }

  async #close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#pending);
    await Promise.all([this.#parts?.trimmer.close(), this.#parts?.marks.idle(), this.#parts?.usage.close()]);
    await this.#connection.close();
  }
}

/**
 * Reports whether no server was there, or none answered in time. What a server or the driver refuses, it would refuse
 * again.
 */
function isUnanswered(error: unknown): boolean {
  return error instanceof MongoError && !(error instanceof MongoServerError || error instanceof MongoAPIError);
}
