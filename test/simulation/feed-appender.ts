import type { Append, AppendResult } from "../../src/ports/store.ts";

/** A document to insert. */
export interface NewDoc {
  readonly seq: number;
  readonly key: string;
  readonly append: Append;
}

/** The unique index that refused a document. */
export type Refusal = "seq" | "key";

/** What became of an ordered insert. */
export interface InsertReply {
  /** So many documents, the first ones, are there. */
  readonly landed: number;
  /** Why the next one is not. */
  readonly refused: Refusal | undefined;
  /** The server's time. */
  readonly time: number;
}

/** Where a feed ended, and when that was, by the server's time. */
export interface KnownHead {
  readonly seq: number;
  readonly time: number;
}

/** Who holds a key. */
export interface Holder {
  readonly seq: number;
  readonly append: Append;
}

/** What the algorithm asks of a replica set. Every call may reject, and then nothing is known. */
export interface ReplicaFeed {
  /** Inserts in order up to the first that is refused; what landed has a majority. */
  insertOrdered(feed: string, docs: readonly NewDoc[]): Promise<InsertReply>;
  /** The head that a majority has. */
  head(feed: string): Promise<KnownHead>;
  /** Who holds a key by what a majority has. */
  holder(feed: string, key: string): Promise<Holder | undefined>;
  /** Which of these places were given before, to messages that retention has removed since. */
  strays(feed: string, seqs: readonly number[]): Promise<readonly number[]>;
  /** Frees the key of a message that has expired. */
  free(feed: string, seq: number): Promise<void>;
  /** Takes documents out that nobody has seen. */
  withdraw(feed: string, seqs: readonly number[]): Promise<void>;
  /** Settles after a while that differs from time to time. */
  pause(): Promise<void>;
}

/** Rules that can be broken on purpose. */
export interface AppenderRules {
  readonly flight: "one" | "pipelined";
  readonly taken: "wait" | "skip";
  readonly stale: "checked" | "trusted";
  /** The seq that follows a head. */
  next(head: number): number;
  /** A head that was known for longer than this when the answer came is not trusted, in ms. */
  readonly maxHeadAge: number;
}

/** A message that waits for its place. */
interface Waiting {
  readonly append: Append;
  readonly key: string;
  readonly resolve: (appended: AppendResult) => void;
  given: boolean;
}

const maxBatch = 100;

/**
 * Appends to the feeds of a replica set from one node: optimistic inserts under a unique (feed, seq), one batch at a time
 * for each feed, the head only from what a majority has, and every repetition under the same key.
 */
export class FeedAppender {
  readonly #replica: ReplicaFeed;
  readonly #rules: AppenderRules;
  readonly #queues = new Map<string, Waiting[]>();
  readonly #heads = new Map<string, KnownHead>();

  constructor(replica: ReplicaFeed, rules: AppenderRules) {
    this.#replica = replica;
    this.#rules = rules;
  }

  /** Settles once the message has its place. Only `signal` ends the attempts; what became of the last one is unknown then. */
  append(feed: string, append: Append, signal: AbortSignal): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      const key = append.key === "" ? `id\n${append.id}` : append.key;
      const waiting: Waiting = { append, key, resolve, given: false };
      signal.addEventListener("abort", () => {
        waiting.given = true;
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
    // What is asked for in the same turn goes along.
    await undefined;
    const queue = this.#queues.get(feed) as Waiting[];
    for (;;) {
      const batch = takeBatch(queue);
      if (batch.length === 0) break;
      const rest = this.#rules.flight === "one" ? await this.#attempt(feed, batch) : this.#pipeline(feed, batch, queue);
      queue.unshift(...(await rest));
    }
    this.#queues.delete(feed);
  }

  /** Known wrong: the next batch does not wait for this one. */
  async #pipeline(feed: string, batch: Waiting[], queue: Waiting[]): Promise<Waiting[]> {
    const head = await this.#head(feed).catch(() => undefined);
    if (!head) {
      await this.#replica.pause();
      return batch;
    }
    this.#heads.set(feed, { ...head, seq: head.seq + batch.length });
    void this.#insert(feed, batch, head).then((rest) => {
      if (rest.length === 0) return;
      if (this.#queues.has(feed)) queue.unshift(...rest);
      else {
        this.#queues.set(feed, rest);
        void this.#drain(feed);
      }
    });
    return [];
  }

  /** Answers those that have no place yet. */
  async #attempt(feed: string, batch: Waiting[]): Promise<Waiting[]> {
    try {
      return await this.#insert(feed, batch, await this.#head(feed));
    } catch {
      return this.#again(feed, batch);
    }
  }

  async #insert(feed: string, batch: Waiting[], head: KnownHead): Promise<Waiting[]> {
    try {
      let seq = head.seq;
      const docs = batch.map(({ append, key }) => {
        seq = this.#rules.next(seq);
        return { seq, key, append };
      });
      const { landed, refused, time } = await this.#replica.insertOrdered(feed, docs);
      if (await this.#isStray(feed, docs.slice(0, landed), time - head.time)) return this.#again(feed, batch);
      for (const [index, waiting] of batch.slice(0, landed).entries()) {
        waiting.resolve(stored(waiting.append, (docs[index] as NewDoc).seq));
      }
      // Only what landed says where the head is: an insert that a key refused has met no seq.
      if (this.#rules.flight === "one" && landed > 0) {
        this.#heads.set(feed, { seq: (docs[landed - 1] as NewDoc).seq, time });
      }
      const rest = batch.slice(landed);
      if (refused === "seq") return await this.#taken(feed, rest, docs[landed] as NewDoc);
      if (refused === "key") return await this.#duplicate(feed, rest);
      return rest;
    } catch {
      // Indeterminate: the same keys find out.
      return this.#again(feed, batch);
    }
  }

  async #head(feed: string): Promise<KnownHead> {
    const known = this.#heads.get(feed) ?? (await this.#replica.head(feed));
    this.#heads.set(feed, known);
    return known;
  }

  async #again(feed: string, batch: Waiting[]): Promise<Waiting[]> {
    this.#heads.delete(feed);
    await this.#replica.pause();
    return batch;
  }

  /** Another node was faster. Its message may have no majority yet, and may be lost: the head is what a majority has. */
  async #taken(feed: string, batch: Waiting[], { seq }: NewDoc): Promise<Waiting[]> {
    if (this.#rules.taken === "wait") return this.#again(feed, batch);
    this.#heads.set(feed, { seq, time: 0 });
    return batch;
  }

  /** The first of the batch is there, or will be, or its holder will be rolled back. */
  async #duplicate(feed: string, [first, ...rest]: Waiting[]): Promise<Waiting[]> {
    const waiting = first as Waiting;
    const { append, key } = waiting;
    const holder = await this.#replica.holder(feed, key);
    if (!holder) return this.#again(feed, [waiting, ...rest]);
    // Left by whoever died, or lost its line, before it could take it out.
    if (this.#rules.stale === "checked" && (await this.#withdrawStrays(feed, [holder.seq]))) return [waiting, ...rest];
    if (holder.append.id === append.id) waiting.resolve(stored(append, holder.seq));
    else if (holder.append.expireTime <= append.publishTime) {
      await this.#replica.free(feed, holder.seq);
      return [waiting, ...rest];
    } else waiting.resolve(duplicate(holder, append));
    return rest;
  }

  /**
   * A node that stood still may come back with a head whose successors were written and trimmed meanwhile. Nothing refuses
   * its insert then, and nobody would ever read it.
   */
  async #isStray(feed: string, landed: readonly NewDoc[], age: number): Promise<boolean> {
    if (this.#rules.stale === "trusted" || landed.length === 0 || age <= this.#rules.maxHeadAge) return false;
    return this.#withdrawStrays(
      feed,
      landed.map(({ seq }) => seq),
    );
  }

  async #withdrawStrays(feed: string, seqs: readonly number[]): Promise<boolean> {
    const strays = await this.#replica.strays(feed, seqs);
    if (strays.length > 0) await this.#replica.withdraw(feed, strays);
    return strays.length > 0;
  }
}

/** The longest run of the queue in which no key is twice: the second is a duplicate of the first. */
function takeBatch(queue: Waiting[]): Waiting[] {
  const waiting = queue.filter(({ given }) => !given);
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
