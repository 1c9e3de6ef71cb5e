import type { StoredReadState } from "../../src/ports/store.ts";
import type { Dice } from "./dice.ts";
import { type Doc, Documents, type FeedDocs, type Operation } from "./documents.ts";
import type { InsertReply, NewDoc, Refusal } from "./feed-appender.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Wiring } from "./wiring.ts";

/** What a statement is answered with when nobody can tell what became of it. */
export class Indeterminate extends Error {}

/** How the replica set fares at the moment. Times in ms. */
export interface ReplicaWeather {
  /** From a write to its majority commit. */
  commitMs: readonly [low: number, high: number];
  /** No write gets a majority before this time. */
  stalledUntil: number;
  /** Of a failover: how likely each write that had no majority is to be lost. */
  rollback: number;
  /** How likely a driver sends a statement again when the primary has changed under it. */
  retry: number;
}

/** A write that has no majority yet. */
interface Pending {
  readonly operation: Operation;
  readonly committed: () => void;
  readonly lost: (reason: Error) => void;
  readonly done: Promise<void>;
}

/**
 * A MongoDB replica set, as far as the promises of its write and read concerns go: writes are in the primary's documents at
 * once and in the majority's later, in the same order; a failover rolls back a suffix of those that had no majority. What
 * has a majority is never lost. Unique indexes are checked against the primary's documents, majority or not.
 */
export class ReplicaSet {
  readonly weather: ReplicaWeather = { commitMs: [1, 4], stalledUntil: 0, rollback: 0.5, retry: 0.5 };
  readonly #scheduler: Scheduler;
  readonly #dice: Dice;
  readonly #wiring: Wiring;
  #local = new Documents();
  readonly #majority = new Documents();
  #pending: Pending[] = [];
  #term = 1;
  #up = true;
  #whenUp: (() => void)[] = [];
  #statements = 0;
  /** What the old primary of a host still has. */
  readonly #isolated = new Map<object, Documents>();
  /** Every message that ever had a majority, in that order, but for those that were withdrawn. */
  inserted: Doc[] = [];
  /** Writes that were rolled back. */
  rolledBack = 0;
  /** Hears of messages as soon as the primary has them. */
  onWritten: (doc: Doc) => void = () => {};

  constructor(scheduler: Scheduler, dice: Dice, wiring: Wiring) {
    this.#scheduler = scheduler;
    this.#dice = dice;
    this.#wiring = wiring;
  }

  /** Server time. */
  get now(): number {
    return this.#scheduler.now;
  }

  /** Some write has no majority yet. */
  get isWriting(): boolean {
    return this.#pending.length > 0;
  }

  /** What the majority has. */
  get majority(): Documents {
    return this.#majority;
  }

  /** From now on the host asks a primary that has lost its majority, and does not know it yet. */
  isolate(host: object): void {
    this.#isolated.set(host, new Documents(this.#majority));
  }

  /** The host has found the primary. */
  rejoin(host: object): void {
    this.#isolated.delete(host);
  }

  /** Reads from what a host takes for the primary. */
  read(concern: "majority" | "local", host: object): Documents {
    const old = this.#isolated.get(host);
    if (old && this.#wiring.deposed === "answers") return old;
    if (old) throw new Indeterminate("not the primary");
    if (!this.#up) throw new Indeterminate("no primary");
    return concern === "majority" ? this.#majority : this.#local;
  }

  /** One statement: inserts in order up to the first that a unique index refuses, and answers once those have a majority. */
  async insertOrdered(feed: string, docs: readonly NewDoc[], host: object): Promise<InsertReply> {
    this.#check(host);
    const statement = ++this.#statements;
    try {
      return await this.#insert(feed, docs, statement);
    } catch (error) {
      if (!this.#dice.chance(this.weather.retry)) throw error;
      await this.#primary();
      return this.#insert(feed, docs, statement);
    }
  }

  /** Writes; settles once all of it has a majority. */
  async write(operations: readonly Operation[], host: object): Promise<void> {
    this.#check(host);
    await Promise.all(operations.map((operation) => this.#write(operation).done));
  }

  /** Replaces a user's document if the primary has its predecessor. */
  async replaceState(key: string, state: StoredReadState, host: object): Promise<boolean> {
    this.#check(host);
    const before = this.#local.states.get(key)?.version ?? 0;
    if (state.version !== before + 1) return false;
    await this.#write({ do: "state", key, state }).done;
    return true;
  }

  /** Another primary, after some time without one. What had no majority may be lost, from some write on. */
  failover(electionMs: number): void {
    const kept = this.#pending.findIndex(() => this.#dice.chance(this.weather.rollback));
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
    let landed = 0;
    let refused: Refusal | undefined;
    let last: Promise<void> | undefined;
    for (const doc of docs) {
      const there = this.#local.feed(feed);
      const mine = there.bySeq.get(doc.seq)?.statement === statement;
      refused = mine ? undefined : refusalOf(there, doc);
      if (refused) break;
      landed++;
      if (!mine) {
        const full: Doc = { ...doc, feed, statement, time: this.now, erased: false };
        last = this.#write({ do: "insert", doc: full }).done;
        this.onWritten(full);
      }
      // Others' statements may come between two documents of one.
      if (landed < docs.length && this.#dice.chance(0.1)) {
        last?.catch(() => {});
        await this.#scheduler.sleep(this.#dice.between(0, 2));
        if (term !== this.#term) throw new Indeterminate("the primary has changed");
      }
    }
    // Those of an attempt before this one have their majority no later than what came after them.
    const wanted = last ?? (landed > 0 ? this.#pending.at(-1)?.done : undefined);
    if (this.#wiring.answer === "majority") await wanted;
    else wanted?.catch(() => {});
    return { landed, refused, time: this.now };
  }

  /** What an old primary writes has no majority, ever. */
  #check(host: object): void {
    if (!this.#up || this.#isolated.has(host)) throw new Indeterminate("not the primary");
  }

  #write(operation: Operation): Pending {
    this.#local.apply(operation);
    let committed = () => {};
    let lost = (_reason: Error) => {};
    const done = new Promise<void>((resolve, reject) => {
      committed = resolve;
      lost = reject;
    });
    // Whoever wrote it may have gone.
    done.catch(() => {});
    const pending = { operation, committed, lost, done };
    this.#pending.push(pending);
    const [low, high] = this.weather.commitMs;
    this.#scheduler.at(this.#dice.between(low, high), () => this.#commit(pending));
    return pending;
  }

  #commit(pending: Pending): void {
    const count = this.#pending.indexOf(pending) + 1;
    if (count === 0) return;
    const blocked = this.weather.stalledUntil - this.now;
    if (blocked > 0 || !this.#up) {
      this.#scheduler.at(Math.max(1, blocked), () => this.#commit(pending));
      return;
    }
    for (const { operation, committed } of this.#pending.splice(0, count)) {
      if (operation.do === "insert") this.inserted.push(operation.doc);
      if (operation.do === "withdraw") this.#withdraw(this.#majority.feed(operation.feed), operation.seqs);
      this.#majority.apply(operation);
      committed();
    }
  }

  /** Others have had the same places before them. */
  #withdraw(feed: FeedDocs, seqs: readonly number[]): void {
    const docs = seqs.map((seq) => feed.bySeq.get(seq));
    this.inserted = this.inserted.filter((doc) => !docs.includes(doc));
  }

  #primary(): Promise<void> {
    return this.#up ? Promise.resolve() : new Promise((resolve) => this.#whenUp.push(resolve));
  }
}

function refusalOf(there: { bySeq: Map<number, Doc>; byKey: Map<string, number> }, doc: NewDoc): Refusal | undefined {
  if (there.bySeq.has(doc.seq)) return "seq";
  return there.byKey.has(doc.key) ? "key" : undefined;
}
