import type { StoredReadState } from "../../../src/ports/store.ts";
import type { Scheduler } from "../runtime/scheduler.ts";
import type { SeededRandom } from "../runtime/seeded-random.ts";
import type { Variant } from "../variant.ts";
import { type Doc, Documents, type FeedDocs, type Operation } from "./documents.ts";
import type { InsertReply, NewDoc, Refusal } from "./feed-appender.ts";

/** A statement failed, and its effect is unknown. */
export class Indeterminate extends Error {}

/** The conditions of the replica set. Times in ms. */
export interface ReplicaConditions {
  /** The time from a write to its majority commit. */
  commitMs: readonly [low: number, high: number];
  /** No write gets a majority before this time. */
  stalledUntil: number;
  /** Probability that a failover rolls back a write without a majority; all later writes are rolled back with it. */
  rollback: number;
  /** Probability that the driver retries a statement when the primary has changed. */
  retry: number;
}

/** A write without a majority. */
interface Pending {
  readonly operation: Operation;
  readonly committed: () => void;
  readonly lost: (reason: Error) => void;
  readonly done: Promise<void>;
}

/**
 * A MongoDB replica set, as far as its write and read concerns promise: a write is in the primary's documents at once and in
 * the majority's later, in the same order. A failover rolls back a suffix of the writes without a majority, and never one
 * with a majority. Unique indexes are checked against the primary's documents.
 */
export class ReplicaSet {
  readonly conditions: ReplicaConditions = { commitMs: [1, 4], stalledUntil: 0, rollback: 0.5, retry: 0.5 };
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #variant: Variant;
  #local = new Documents();
  readonly #majority = new Documents();
  #pending: Pending[] = [];
  #term = 1;
  #up = true;
  #whenUp: (() => void)[] = [];
  #statements = 0;
  /** The documents of a deposed primary, by the host that still uses it. */
  readonly #deposed = new Map<object, Documents>();
  /** Every message that ever had a majority, in the order in which it got one, except those that were withdrawn. */
  inserted: Doc[] = [];
  /** The number of writes that were rolled back. */
  rolledBack = 0;
  /** Called with each message when the primary has it, before it has a majority. */
  onWritten: (doc: Doc) => void = () => {};

  constructor(scheduler: Scheduler, random: SeededRandom, variant: Variant) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#variant = variant;
  }

  /** The server's time. */
  get now(): number {
    return this.#scheduler.now;
  }

  /** There are writes without a majority. */
  get isWriting(): boolean {
    return this.#pending.length > 0;
  }

  /** The documents that a majority has. */
  get majority(): Documents {
    return this.#majority;
  }

  /** From now on this host uses a primary that has lost its majority without noticing. */
  useDeposedPrimary(host: object): void {
    this.#deposed.set(host, new Documents(this.#majority));
  }

  /** From now on this host uses the current primary. */
  useCurrentPrimary(host: object): void {
    this.#deposed.delete(host);
  }

  /** The documents that a host reads from the primary that it uses. */
  read(concern: "majority" | "local", host: object): Documents {
    const deposed = this.#deposed.get(host);
    if (deposed && this.#variant.deposedPrimary === "answers") return deposed;
    if (deposed) throw new Indeterminate("not the primary");
    if (!this.#up) throw new Indeterminate("no primary");
    return concern === "majority" ? this.#majority : this.#local;
  }

  /** Inserts documents in order up to the first that a unique index refuses. Resolves when a majority has the inserted ones. */
  async insertOrdered(feed: string, docs: readonly NewDoc[], host: object): Promise<InsertReply> {
    this.#check(host);
    const statement = ++this.#statements;
    try {
      return await this.#insert(feed, docs, statement);
    } catch (error) {
      if (!this.#random.chance(this.conditions.retry)) throw error;
      await this.#primaryElected();
      return this.#insert(feed, docs, statement);
    }
  }

  /** Applies operations. Resolves when a majority has all of them. */
  async write(operations: readonly Operation[], host: object): Promise<void> {
    this.#check(host);
    await Promise.all(operations.map((operation) => this.#write(operation).done));
  }

  /** Compare-and-set: replaces the read state of a user if the primary has the version before it. */
  async replaceState(key: string, state: StoredReadState, host: object): Promise<boolean> {
    this.#check(host);
    const before = this.#local.states.get(key)?.version ?? 0;
    if (state.version !== before + 1) return false;
    await this.#write({ do: "state", key, state }).done;
    return true;
  }

  /** Elects another primary, after a time without one. Rolls back a suffix of the writes without a majority. */
  failover(electionMs: number): void {
    const kept = this.#pending.findIndex(() => this.#random.chance(this.conditions.rollback));
    const survivors = kept === -1 ? this.#pending : this.#pending.slice(0, kept);
    const failed = this.#pending;
    this.rolledBack += failed.length - survivors.length;
    this.#term++;
    this.#up = false;
    this.#pending = [];
    this.#local = new Documents(this.#majority);
    for (const { operation } of survivors) this.#write(operation);
    for (const { lost } of failed) lost(new Indeterminate("the primary has changed"));
    const term = this.#term;
    this.#scheduler.at(electionMs, () => {
      if (term !== this.#term) return;
      this.#up = true;
      const waiting = this.#whenUp;
      this.#whenUp = [];
      for (const resolve of waiting) resolve();
    });
  }

  async #insert(feed: string, docs: readonly NewDoc[], statement: number): Promise<InsertReply> {
    if (!this.#up) throw new Indeterminate("not the primary");
    const term = this.#term;
    let insertedCount = 0;
    let refused: Refusal | undefined;
    let last: Promise<void> | undefined;
    for (const doc of docs) {
      const existing = this.#local.feed(feed);
      const isOwn = existing.bySeq.get(doc.seq)?.statement === statement;
      refused = isOwn ? undefined : refusalOf(existing, doc);
      if (refused) break;
      insertedCount++;
      if (!isOwn) {
        const full: Doc = { ...doc, feed, statement, time: this.now, erased: false };
        last = this.#write({ do: "insert", doc: full }).done;
        this.onWritten(full);
      }
      // Statements of other nodes may run between two documents of one statement.
      if (insertedCount < docs.length && this.#random.chance(0.1)) {
        last?.catch(() => {});
        await this.#scheduler.sleep(this.#random.between(0, 2));
        if (term !== this.#term) throw new Indeterminate("the primary has changed");
      }
    }
    // Documents of an earlier attempt get their majority no later than the last pending write.
    const wanted = last ?? (insertedCount > 0 ? this.#pending.at(-1)?.done : undefined);
    if (this.#variant.acknowledge === "majority") await wanted;
    else wanted?.catch(() => {});
    return { insertedCount, refused, time: this.now };
  }

  /** Refuses writes to a deposed primary, which could never get a majority. */
  #check(host: object): void {
    if (!this.#up || this.#deposed.has(host)) throw new Indeterminate("not the primary");
  }

  #write(operation: Operation): Pending {
    this.#local.apply(operation);
    let committed = () => {};
    let lost = (_reason: Error) => {};
    const done = new Promise<void>((resolve, reject) => {
      committed = resolve;
      lost = reject;
    });
    // The caller may have died, and then nothing handles a rejection.
    done.catch(() => {});
    const pending = { operation, committed, lost, done };
    this.#pending.push(pending);
    const [low, high] = this.conditions.commitMs;
    this.#scheduler.at(this.#random.between(low, high), () => this.#commit(pending));
    return pending;
  }

  #commit(pending: Pending): void {
    const count = this.#pending.indexOf(pending) + 1;
    if (count === 0) return;
    const stallMs = this.conditions.stalledUntil - this.now;
    if (stallMs > 0 || !this.#up) {
      this.#scheduler.at(Math.max(1, stallMs), () => this.#commit(pending));
      return;
    }
    for (const { operation, committed } of this.#pending.splice(0, count)) {
      if (operation.do === "insert") this.inserted.push(operation.doc);
      if (operation.do === "withdraw") this.#withdraw(this.#majority.feed(operation.feed), operation.seqs);
      this.#majority.apply(operation);
      committed();
    }
  }

  /** Removes orphans from `inserted`: other messages had their seqs before. */
  #withdraw(feed: FeedDocs, seqs: readonly number[]): void {
    const docs = seqs.map((seq) => feed.bySeq.get(seq));
    this.inserted = this.inserted.filter((doc) => !docs.includes(doc));
  }

  #primaryElected(): Promise<void> {
    return this.#up ? Promise.resolve() : new Promise((resolve) => this.#whenUp.push(resolve));
  }
}

function refusalOf(existing: FeedDocs, doc: NewDoc): Refusal | undefined {
  if (existing.bySeq.has(doc.seq)) return "seq";
  return existing.byKey.has(doc.key) ? "key" : undefined;
}
