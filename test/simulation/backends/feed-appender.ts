import type { Append, AppendResult } from "../../../src/ports/store.ts";

/** A document to insert. */
export interface NewDoc {
  readonly seq: number;
  readonly key: string;
  readonly append: Append;
}

/** The unique index that refused a document. */
export type Refusal = "seq" | "key";

/** The result of an ordered insert. */
export interface InsertReply {
  /** How many documents were inserted: the first ones of the batch. */
  readonly insertedCount: number;
  /** Why the next one was not. */
  readonly refused: Refusal | undefined;
  /** The server's time. */
  readonly time: number;
}

/** The last seq of a feed at some time, by the server's clock. */
export interface KnownEnd {
  readonly seq: number;
  readonly time: number;
}

/** The document that has a key. */
export interface Holder {
  readonly seq: number;
  readonly append: Append;
}

/** The calls of a replica set that the algorithm makes. When one rejects, its effect is unknown. */
export interface ReplicaFeed {
  /** Inserts in order up to the first document that is refused. Resolves when a majority has the inserted ones. */
  insertOrdered(feed: string, docs: readonly NewDoc[]): Promise<InsertReply>;
  /** The end of a feed that a majority has. */
  end(feed: string): Promise<KnownEnd>;
  /** The document that has a key, of those that a majority has. */
  holder(feed: string, key: string): Promise<Holder | undefined>;
  /** Those of these seqs that belonged to messages which retention has removed since. */
  orphans(feed: string, seqs: readonly number[]): Promise<readonly number[]>;
  /** Releases the key of a message that has expired. */
  release(feed: string, seq: number): Promise<void>;
  /** Removes documents that no reader has seen. */
  withdraw(feed: string, seqs: readonly number[]): Promise<void>;
  /** Resolves after a random delay. */
  pause(): Promise<void>;
}

/** Rules that a variant can break. */
export interface AppenderRules {
  readonly inFlight: "one" | "pipelined";
  readonly takenSeq: "wait" | "skip";
  readonly staleEnd: "checked" | "trusted";
  /** The seq after this one. */
  next(seq: number): number;
  /** How old the end of a feed may be when an insert that relied on it returns, in ms. Older ones are checked. */
  readonly maxEndAgeMs: number;
}

/** A message that waits for its seq. */
interface Waiting {
  readonly append: Append;
  readonly key: string;
  readonly resolve: (appended: AppendResult) => void;
  cancelled: boolean;
}

const maxBatch = 100;

/**
 * Appends to the feeds of a replica set from one node, without transactions: optimistic inserts under a unique index on
 * (feed, seq), one batch in flight per feed, the end of a feed only from what a majority has, and every retry with the same
 * key.
 */
export class FeedAppender {
  readonly #replica: ReplicaFeed;
  readonly #rules: AppenderRules;
  readonly #queues = new Map<string, Waiting[]>();
  readonly #ends = new Map<string, KnownEnd>();

  constructor(replica: ReplicaFeed, rules: AppenderRules) {
    this.#replica = replica;
    this.#rules = rules;
  }

  /**
   * Resolves when the message has its seq. Retries until `signal` aborts, and then rejects; whether the last attempt
   * succeeds is unknown.
   */
  append(feed: string, append: Append, signal: AbortSignal): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      const key = append.key === "" ? `id\n${append.id}` : append.key;
      const waiting: Waiting = { append, key, resolve, cancelled: false };
      signal.addEventListener("abort", () => {
        waiting.cancelled = true;
        reject(signal.reason);
      });
      const queue = this.#queues.get(feed);
      if (queue) {
        queue.push(waiting);
        return;
      }
      this.#queues.set(feed, [waiting]);
      void this.#drain(feed);
    });
  }

  async #drain(feed: string): Promise<void> {
    // Lets the first batch include all messages of this tick.
    await undefined;
    const queue = this.#queues.get(feed) as Waiting[];
    for (;;) {
      const batch = takeBatch(queue);
      if (batch.length === 0) break;
      const rest =
        this.#rules.inFlight === "one" ? await this.#attempt(feed, batch) : this.#pipeline(feed, batch, queue);
      queue.unshift(...(await rest));
    }
    this.#queues.delete(feed);
  }

  /** A mistake on purpose: the next batch does not wait for this one. */
  async #pipeline(feed: string, batch: Waiting[], queue: Waiting[]): Promise<Waiting[]> {
    const end = await this.#end(feed).catch(() => undefined);
    if (!end) {
      await this.#replica.pause();
      return batch;
    }
    this.#ends.set(feed, { ...end, seq: end.seq + batch.length });
    void this.#insert(feed, batch, end).then((rest) => {
      if (rest.length === 0) return;
      if (this.#queues.has(feed)) queue.unshift(...rest);
      else {
        this.#queues.set(feed, rest);
        void this.#drain(feed);
      }
    });
    return [];
  }

  /** Resolves with the messages that have no seq yet. */
  async #attempt(feed: string, batch: Waiting[]): Promise<Waiting[]> {
    try {
      return await this.#insert(feed, batch, await this.#end(feed));
    } catch {
      return this.#retry(feed, batch);
    }
  }

  async #insert(feed: string, batch: Waiting[], end: KnownEnd): Promise<Waiting[]> {
    try {
      let seq = end.seq;
      const docs = batch.map(({ append, key }) => {
        seq = this.#rules.next(seq);
        return { seq, key, append };
      });
      const { insertedCount, refused, time } = await this.#replica.insertOrdered(feed, docs);
      if (await this.#isOrphaned(feed, docs.slice(0, insertedCount), time - end.time)) return this.#retry(feed, batch);
      for (const [index, waiting] of batch.slice(0, insertedCount).entries()) {
        waiting.resolve(stored(waiting.append, (docs[index] as NewDoc).seq));
      }
      // Only an insert shows where the feed ends: when the index on keys refused the first document, no seq was compared.
      if (this.#rules.inFlight === "one" && insertedCount > 0) {
        this.#ends.set(feed, { seq: (docs[insertedCount - 1] as NewDoc).seq, time });
      }
      const rest = batch.slice(insertedCount);
      if (refused === "seq") return await this.#seqTaken(feed, rest, docs[insertedCount] as NewDoc);
      if (refused === "key") return await this.#keyTaken(feed, rest);
      return rest;
    } catch {
      // The outcome is unknown; a retry with the same keys finds it out.
      return this.#retry(feed, batch);
    }
  }

  async #end(feed: string): Promise<KnownEnd> {
    const known = this.#ends.get(feed) ?? (await this.#replica.end(feed));
    this.#ends.set(feed, known);
    return known;
  }

  async #retry(feed: string, batch: Waiting[]): Promise<Waiting[]> {
    this.#ends.delete(feed);
    await this.#replica.pause();
    return batch;
  }

  /**
   * Another node took the seq. Its message may have no majority yet and be rolled back, so the end of the feed is read again
   * from what a majority has.
   */
  async #seqTaken(feed: string, batch: Waiting[], { seq }: NewDoc): Promise<Waiting[]> {
    if (this.#rules.takenSeq === "wait") return this.#retry(feed, batch);
    this.#ends.set(feed, { seq, time: 0 });
    return batch;
  }

  /** Another document has the key of the first message: this message itself, another publish, or one that is rolled back. */
  async #keyTaken(feed: string, [first, ...rest]: Waiting[]): Promise<Waiting[]> {
    const waiting = first as Waiting;
    const { append, key } = waiting;
    const holder = await this.#replica.holder(feed, key);
    if (!holder) return this.#retry(feed, [waiting, ...rest]);
    // An orphan may be left by a node that died, or lost its connection, before it could withdraw it.
    if (this.#rules.staleEnd === "checked" && (await this.#withdrawOrphans(feed, [holder.seq])))
      return [waiting, ...rest];
    if (holder.append.id === append.id) waiting.resolve(stored(append, holder.seq));
    else if (holder.append.expireTime <= (append.keyTime ?? append.publishTime)) {
      await this.#replica.release(feed, holder.seq);
      return [waiting, ...rest];
    } else waiting.resolve(duplicate(holder, append));
    return rest;
  }

  /**
   * A node that was paused may resume with an end of the feed whose successors were written and trimmed meanwhile. No index
   * refuses its insert then, but no reader would ever see the message.
   */
  async #isOrphaned(feed: string, inserted: readonly NewDoc[], endAgeMs: number): Promise<boolean> {
    if (this.#rules.staleEnd === "trusted" || inserted.length === 0 || endAgeMs <= this.#rules.maxEndAgeMs)
      return false;
    return this.#withdrawOrphans(
      feed,
      inserted.map(({ seq }) => seq),
    );
  }

  async #withdrawOrphans(feed: string, seqs: readonly number[]): Promise<boolean> {
    const orphans = await this.#replica.orphans(feed, seqs);
    if (orphans.length > 0) await this.#replica.withdraw(feed, orphans);
    return orphans.length > 0;
  }
}

/** Takes the longest prefix of the queue in which no key occurs twice: a second message of a key is a duplicate of the first. */
function takeBatch(queue: Waiting[]): Waiting[] {
  const waiting = queue.filter(({ cancelled }) => !cancelled);
  const keys = new Set<string>();
  const end = waiting.findIndex(({ key }, index) => index >= maxBatch || keys.size === keys.add(key).size);
  const batch = end === -1 ? waiting : waiting.slice(0, end);
  queue.splice(0, queue.length, ...waiting.slice(batch.length));
  return batch;
}

function stored({ id, publishTime }: Append, seq: number): AppendResult {
  return { outcome: "stored", id, publishTime, epoch: 1, seqs: [seq] };
}

function duplicate({ append: { id, publishTime, digest } }: Holder, append: Append): AppendResult {
  if (digest !== append.digest) return { outcome: "conflict" };
  return { outcome: "duplicate", id, publishTime, epoch: 1, seqs: [] };
}
