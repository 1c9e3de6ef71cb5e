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
  type StoreInfo,
} from "../../ports/store.ts";
import { Deadline } from "../../util/deadline.ts";
import { Appender } from "./append.ts";
import { BatchWriter } from "./batch-writer.ts";
import { Connection, jitter, type Topology } from "./connection.ts";
import { DoneMarks } from "./done-marks.ts";
import { Entries } from "./entries.ts";
import { Heads } from "./heads.ts";
import { MongoInbox } from "./inbox.ts";
import { Locks } from "./locks.ts";
import { MongoReadStates } from "./read-states.ts";
import { MongoRecaller } from "./recall.ts";
import { openSchema } from "./schema.ts";
import { Trimmer } from "./trim.ts";
import { UnreadCounts } from "./unread-counts.ts";

/** Calls under way; beyond it new ones are refused, so that a slow store cannot fill the memory. */
const maxPending = 50_000;

/** A server that starts with this node has so many times the timeoutMs of a call. */
const startTimeouts = 5;

/** What a store is made with. */
export interface MongoOptions {
  /** `mongodb://host:port/database?options` or `mongodb+srv://…`; names the database. */
  readonly url: string;
  /** Messages kept per feed. */
  readonly keep: number;
  /** How long a call waits for the servers before it is rejected, in milliseconds. Default 1,800: who asked hears of it within two seconds. `open` waits five times as long. */
  readonly timeoutMs?: number;
  /** Hears what a deployment lacks. */
  readonly warn?: (sentence: string) => void;
  /** Hears of every insert that is on a majority. */
  readonly committed?: CommitListener;
  /** Sees every command that is sent: for tests. */
  readonly watch?: (event: CommandStartedEvent) => void;
}

interface Parts {
  readonly heads: Heads;
  readonly appender: Appender;
  readonly flights: BatchWriter;
  readonly marks: DoneMarks;
  readonly withdrawals: MongoRecaller;
  readonly trimmer: Trimmer;
  readonly entries: Entries;
  readonly inbox: MongoInbox;
  readonly tallies: UnreadCounts;
  readonly states: MongoReadStates;
}

/**
 * Port Store on MongoDB, for any number of nodes on one database. Nothing is answered before it is on a majority of the
 * servers, nothing is read that is not, and an append waits at most two seconds for a store that is away.
 *
 * Collections and shard keys: `entries` { f: 1 }, `feeds` and `states` { _id: "hashed" }; `meta` is not sharded.
 *
 * Backup and restore: stop all nodes, restore, then run `db.meta.updateOne({ _id: "store" }, { $inc: { epoch: 1 } })`, and
 * start the nodes. The epoch tells clients that positions which they got after the backup mean nothing any more; without
 * it, they could take other messages for those that they have seen.
 */
export class MongoStore implements Store {
  readonly #connection: Connection;
  readonly #keep: number;
  readonly #timeoutMs: number;
  readonly #warn: (sentence: string) => void;
  readonly #committed: CommitListener;
  readonly #pending = new Set<Promise<unknown>>();
  #parts: Parts | undefined;
  #closed = false;
  #closing: Promise<void> | undefined;

  constructor({ url, keep, timeoutMs = 1_800, warn = () => {}, committed = () => {}, watch }: MongoOptions) {
    this.#connection = new Connection(url, timeoutMs, watch);
    this.#timeoutMs = timeoutMs;
    this.#keep = keep;
    this.#warn = warn;
    this.#committed = committed;
  }

  async open(): Promise<StoreInfo> {
    const end = performance.now() + startTimeouts * this.#timeoutMs;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#open();
      } catch (error) {
        if (isUnanswered(error) && !this.#closed && performance.now() < end) {
          if (attempt === 0)
            this.#warn(`the store does not answer yet, and is asked again: ${(error as Error).message}`);
          await jitter(attempt);
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
    const places = messages.reduce((sum, { feeds }) => sum + feeds.length, 0);
    return this.#call(
      (parts, expired) => parts.appender.append(messages, expired),
      this.#timeoutMs + places * perFeedMs,
    );
  }

  bounds(feeds: readonly FeedKey[]): Promise<readonly FeedBounds[]> {
    return this.#ask(({ heads }) => heads.heads(feeds));
  }

  read(feed: FeedKey, after: number, upTo: number, limit: number, now: number): Promise<FeedSlice> {
    return this.#ask(({ entries }) => entries.read(feed, after, upTo, limit, now));
  }

  recall(tenant: string, ids: readonly string[]): Promise<readonly Recalled[]> {
    return this.#call(({ withdrawals }) => withdrawals.recall(tenant, ids));
  }

  trim(before: number, now: number): Promise<number> {
    return this.#call(({ trimmer }) => trimmer.trim(before, now), 10 * this.#timeoutMs);
  }

  select(selection: Selection): Promise<readonly Entry[]> {
    return this.#ask(({ inbox }) => inbox.select(selection));
  }

  countNotifications(
    feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[],
    now: number,
  ): Promise<NotificationCount> {
    return this.#ask(({ tallies }) => tallies.tally(feeds, now));
  }

  batch(tenant: string, batchId: string, after: string, limit: number, now: number): Promise<BatchPage> {
    return this.#ask(({ inbox }) => inbox.batch(tenant, batchId, after, limit, now));
  }

  find(feeds: readonly FeedKey[], ids: readonly string[]): Promise<readonly MessageLocation[]> {
    return this.#ask(({ inbox }) => inbox.find(feeds, ids));
  }

  readState(tenant: string, user: string): Promise<StoredReadState> {
    return this.#ask(({ states }) => states.load(tenant, user));
  }

  saveReadState(tenant: string, user: string, state: StoredReadState): Promise<boolean> {
    return this.#call(({ states }, expired) => states.save(tenant, user, state, expired));
  }

  /** A question may be asked again: servers change, and one that has just taken over may know less for a moment. */
  #ask<T>(question: (parts: Parts) => Promise<T>): Promise<T> {
    return this.#call(async (parts, expired) => {
      for (let attempt = 0; ; attempt++) {
        try {
          return await question(parts);
        } catch (error) {
          if (expired()) throw error;
          await jitter(attempt);
        }
      }
    });
  }

  async #call<T>(work: (parts: Parts, expired: () => boolean) => Promise<T>, timeoutMs = this.#timeoutMs): Promise<T> {
    try {
      if (this.#closed || !this.#parts) throw new Error("the store is closed");
      if (this.#pending.size >= maxPending) throw new Error("too many calls are waiting for the store");
      const parts = this.#parts;
      const late = () => new Error("the store did not answer in time", { cause: parts.flights.lastError });
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
    const topology = await this.#connection.open();
    const { epoch, secret, layout } = await openSchema(this.#connection);
    const connection = this.#connection;
    const heads = new Heads(connection, layout, { epoch, keep: this.#keep });
    const locks = new Locks(connection, layout.scans);
    const trimmer = new Trimmer(connection, layout, heads, locks);
    const grown = (f: string, seq: number) => trimmer.grown(f, seq);
    const flights = new BatchWriter(connection, layout, heads, { grown, committed: this.#committed });
    const marks = new DoneMarks(connection, layout);
    const withdrawals = new MongoRecaller(connection, layout, heads, locks);
    const entries = new Entries(connection, layout, heads);
    this.#parts = {
      heads,
      flights,
      marks,
      trimmer,
      withdrawals,
      entries,
      appender: new Appender(connection, layout, { flights, locks, marks, withdrawals, epoch }),
      inbox: new MongoInbox(connection, layout, heads, entries),
      tallies: new UnreadCounts(connection, layout, heads),
      states: new MongoReadStates(connection, layout, locks),
    };
    this.#warnOf(topology);
    return { secret, timeoutMs: this.#timeoutMs };
  }

  async #close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#pending);
    await Promise.all([this.#parts?.trimmer.idle(), this.#parts?.marks.idle()]);
    await this.#connection.close();
  }

  #warnOf({ replicated, scans }: Topology): void {
    if (!replicated) {
      this.#warn(
        "the store's server is no replica set: there is no majority, so what it answers is as durable as its own disk, " +
          "and while it is away every publish fails",
      );
    }
    if (scans) {
      this.#warn("the store's server finds documents by scanning them: it is for tests and small amounts of data");
    }
  }
}

/** Nobody was there, or nobody had time; what a server or the driver refuses, it would refuse again. */
function isUnanswered(error: unknown): boolean {
  return error instanceof MongoError && !(error instanceof MongoServerError || error instanceof MongoAPIError);
}
