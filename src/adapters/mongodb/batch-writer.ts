import type { CommitListener } from "../../ports/store.ts";
import type { Connection, Inserted } from "./connection.ts";
import { jitter } from "./connection.ts";
import type { ClaimDocument, Content, EntryDocument } from "./documents.ts";
import type { Heads } from "./heads.ts";
import type { Layout } from "./layout.ts";

/** Entries and bytes of one command. */
const maxEntries = 500;
const maxBytes = 4_000_000;
/** A head learned longer ago may have been trimmed past: see #strayed. */
const freshMs = 600_000;

/** What became of an entry: it landed, it was there already, or its claim belongs to another message. */
export type Landing =
  | { readonly seq: number }
  | { readonly there: Pick<EntryDocument, "m" | "k" | "p"> }
  | { readonly taken: ClaimDocument };

/** An entry on its way. */
interface Item {
  readonly content: Content;
  readonly resolve: (landing: Landing) => void;
  readonly expired: () => boolean;
  /** To be inserted before it, unless it is there. */
  claim: ClaimDocument | undefined;
  /** Nothing is known of an earlier try. */
  doubtful: boolean;
  done: boolean;
}

interface Queue {
  readonly f: string;
  items: Item[];
  flying: boolean;
  /** Shared commands that failed since something landed. */
  attempts: number;
}

/** The end of a feed, and when it was learned. */
interface Head {
  readonly seq: number;
  readonly time: number;
}

/**
 * Writes entries, each feed at its end: one ordered batch in flight per feed, and whatever queues meanwhile is the next
 * one. An ordered insert stops at its first failure, so what lands is a prefix, and a feed has no holes. Feeds with one
 * entry each share a command.
 */
export class BatchWriter {
  readonly #connection: Connection;
  readonly #layout: Layout;
  readonly #heads: Heads;
  readonly #onGrown: (f: string, seq: number) => void;
  readonly #committed: CommitListener;
  readonly #queues = new Map<string, Queue>();
  readonly #ready = new Set<Queue>();
  #scheduled = false;
  /** Why the last command failed. */
  lastError: unknown;

  /** `onGrown` is told the new end of each feed. */
  constructor(
    connection: Connection,
    layout: Layout,
    heads: Heads,
    told: { readonly grown: (f: string, seq: number) => void; readonly committed: CommitListener },
  ) {
    this.#connection = connection;
    this.#layout = layout;
    this.#heads = heads;
    this.#onGrown = told.grown;
    this.#committed = told.committed;
  }

  /** Puts an entry at the end of a feed. Tries until it knows, or until `expired`: then it never resolves. */
  land(f: string, content: Content, claim: ClaimDocument | undefined, expired: () => boolean): Promise<Landing> {
    return new Promise((resolve) => {
      const queue = this.#queues.get(f) ?? { f, items: [], flying: false, attempts: 0 };
      this.#queues.set(f, queue);
      queue.items.push({ content, resolve, expired, claim, doubtful: false, done: false });
      this.#want(queue);
    });
  }

  /** At the end of the turn, so that all calls of a turn fly together. */
  #want(queue: Queue): void {
    if (queue.flying) return;
    this.#ready.add(queue);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#depart();
    });
  }

  #depart(): void {
    const queues = [...this.#ready];
    this.#ready.clear();
    for (const queue of queues) queue.flying = true;
    const single = new Set(queues.filter(({ items: [item, more] }) => item && !more && !item.claim));
    const shared = single.size > 1 ? single : new Set<Queue>();
    for (const queue of queues) if (!shared.has(queue)) void this.#fly(queue).finally(() => this.#land(queue));
    const byCollection = Map.groupBy(shared, ({ f }) => this.#layout.entries(f));
    for (const [name, some] of byCollection) {
      for (const group of slices(some)) {
        void this.#flyTogether(name, group).finally(() => {
          for (const queue of group) this.#land(queue);
        });
      }
    }
  }

  #land(queue: Queue): void {
    queue.flying = false;
    queue.items = queue.items.filter((item) => !item.done && !item.expired());
    if (queue.items.length > 0) this.#want(queue);
    else this.#queues.delete(queue.f);
  }

  /** One entry of each of several feeds, tried once; those that are not there after it fly again. */
  async #flyTogether(name: string, queues: readonly Queue[]): Promise<void> {
    try {
      const doubtful = queues.filter(({ items: [item] }) => item?.doubtful);
      if (doubtful.length > 0) await this.#recognise(name, doubtful);
      const rest = queues.filter(({ items: [item] }) => item && !item.done && !item.expired());
      if (rest.length > 0) await this.#tryTogether(name, rest);
    } catch (error) {
      this.lastError = error;
      for (const { f, items } of queues) {
        for (const item of items) item.doubtful ||= !item.done;
        this.#heads.doubt(f);
      }
    }
    const left = queues.filter(({ items: [item] }) => item && !item.done);
    for (const queue of left) queue.attempts++;
    if (left.length > 0) await jitter(left[0]?.attempts ?? 0);
  }

  async #tryTogether(name: string, queues: readonly Queue[]): Promise<void> {
    const unknown = queues.filter(({ f }) => !this.#isFresh(f)).map(({ f }) => f);
    if (unknown.length > 0) await this.#heads.lastOf(unknown);
    const items = queues.map(({ items: [item] }) => item as Item);
    const heads = queues.map(({ f }) => this.#headOf(f));
    const documents = queues.map(({ f }, index) => entry(f, (heads[index]?.seq ?? 0) + 1, items[index] as Item));
    const start = performance.now();
    const result = await this.#connection.insert(name, documents, false);
    if (!result.sure) this.lastError = result.error;
    else this.#commit(documents.length - result.taken.length, start);
    const missed = new Set(result.taken);
    for (const [index, { f }] of queues.entries()) {
      const item = items[index] as Item;
      const { seq, time } = heads[index] as Head;
      item.doubtful = !result.sure || (missed.has(index) && !result.outrun);
      if (!result.sure || missed.has(index)) this.#heads.doubt(f);
      else if (result.time - time <= freshMs || !(await this.#strayed(f, seq + 1, [item]))) {
        this.#settle(f, [item], seq + 1, result.time);
      }
    }
  }

  /** A batch of one feed, tried until each of its entries has an outcome or nobody waits for it any more. */
  async #fly(queue: Queue): Promise<void> {
    const { f } = queue;
    const batch = slice(queue.items);
    for (let attempt = 0, left = Number.POSITIVE_INFINITY; ; attempt++) {
      const items = batch.filter((item) => !item.done && !item.expired());
      if (items.length === 0) return;
      // Progress needs no pause: entries of the same key wait for each other only.
      if (items.length === left) await jitter(attempt);
      left = items.length;
      try {
        await this.#try(f, items);
      } catch (error) {
        this.lastError = error;
        for (const item of items) item.doubtful = true;
        this.#heads.doubt(f);
      }
    }
  }

  async #try(f: string, all: readonly Item[]): Promise<void> {
    if (all.some(({ doubtful }) => doubtful)) await this.#recognise(this.#layout.entries(f), [{ f, items: all }]);
    const items = all.filter(({ done }) => !done);
    if (items.length === 0) return;
    if (!this.#isFresh(f)) await this.#heads.lastOf([f]);
    const head = this.#headOf(f);
    const claimed = items.filter(({ claim }) => claim);
    const claims = claimed.map(({ claim }) => claim as ClaimDocument);
    const entries = items.map((item, index) => entry(f, head.seq + 1 + index, item));
    const start = performance.now();
    const { claims: claimsResult, entries: result } = await this.#insert(f, claims, entries);

    if (claimsResult.sure) {
      const end = claimsResult.taken[0] ?? claimed.length;
      for (const item of claimed.slice(0, end)) item.claim = undefined;
      if (end < claimed.length) return this.#meet(claimed.slice(end));
    }
    if (!result?.sure) {
      this.lastError = result?.error ?? claimsResult.error;
      for (const item of items) item.doubtful = true;
      return this.#heads.doubt(f);
    }
    const landed = items.slice(0, result.taken[0] ?? items.length);
    this.#commit(landed.length, start);
    if (landed.length > 0) {
      if (result.time - head.time > freshMs && (await this.#strayed(f, head.seq + 1, landed))) return;
      this.#settle(f, landed, head.seq + 1, result.time);
    }
    if (landed.length === items.length) return;
    // Another node has taken the number, or, unless the server says that it is this, an earlier try of ours is there.
    if (!result.outrun) for (const item of items.slice(landed.length)) item.doubtful = true;
    this.#heads.doubt(f);
  }

  #commit(messages: number, start: number): void {
    if (messages > 0) this.#committed({ messages, seconds: (performance.now() - start) / 1000 });
  }

  #headOf(f: string): Head {
    return this.#heads.current(f) ?? { seq: 0, time: 0 };
  }

  #isFresh(f: string): boolean {
    const head = this.#heads.current(f);
    return head !== undefined && this.#connection.now - head.time <= freshMs;
  }

  /** Claims, then entries: as one command where they lie together. */
  async #insert(
    f: string,
    claims: readonly ClaimDocument[],
    entries: readonly EntryDocument[],
  ): Promise<{ claims: Inserted; entries?: Inserted }> {
    const name = this.#layout.entries(f);
    if (claims.length === 0 || name === this.#layout.claims) {
      const result = await this.#connection.insert(name, [...claims, ...entries], true);
      const [first = Number.POSITIVE_INFINITY] = result.taken;
      if (first < claims.length) return { claims: result };
      const shifted = result.taken.map((index) => index - claims.length);
      return { claims: { ...result, taken: [] }, entries: { ...result, taken: shifted } };
    }
    const first = await this.#connection.insert(this.#layout.claims, claims, true);
    if (!first.sure || first.taken.length > 0) return { claims: first };
    return { claims: first, entries: await this.#connection.insert(name, entries, true) };
  }

  /** Somebody holds a claim: the message itself, by a try of which nothing was known, or another one. */
  async #meet(items: readonly Item[]): Promise<void> {
    const filter = { f: { $in: items.map(({ claim }) => claim?.f ?? "") }, s: 0 };
    const claims = await this.#connection.find<ClaimDocument>(this.#layout.claims, filter);
    const byName = new Map(claims.map((claim) => [claim.f, claim]));
    for (const item of items) {
      const claim = byName.get(item.claim?.f ?? "");
      // Free, or not yet on a majority: the next try tells.
      if (!claim) continue;
      if (claim.id === item.content.m) item.claim = undefined;
      else finish(item, { taken: claim });
    }
  }

  /** Finds out which entries are there already: ours by a try of which nothing was known, or another's under the key. */
  async #recognise(name: string, queues: readonly { f: string; items: readonly Item[] }[]): Promise<void> {
    const onces = queues.flatMap(({ items }) => items.map(({ content }) => content.c));
    const [only] = queues;
    const f = queues.length === 1 && only ? only.f : { $in: queues.map((queue) => queue.f) };
    const filter = { f, c: { $in: [...new Set(onces)] } };
    const found = await this.#connection.find<EntryDocument>(name, filter, { projection: { d: 0 } });
    const there = new Map(found.map((document) => [`${document.f} ${document.c}`, document]));
    for (const queue of queues) {
      for (const item of queue.items) {
        item.doubtful = false;
        const document = there.get(`${queue.f} ${item.content.c}`);
        if (!document) continue;
        const ours = document.m === item.content.m && document.k === item.content.k;
        finish(item, ours ? { seq: document.s } : { there: document });
      }
    }
  }

  /**
   * A node that slept may hold a head whose successors were written and trimmed meanwhile: its insert meets nobody, below
   * the tail, where no reader looks. Trimmed slots are an hour old at least, so only an old head has to be checked, by the
   * server's time.
   */
  async #strayed(f: string, first: number, items: readonly Item[]): Promise<boolean> {
    const tail = (await this.#heads.tailsOf([f])).get(f) ?? 1;
    this.#heads.doubt(f);
    if (first >= tail) return false;
    const strays = {
      f,
      s: { $gte: first, $lt: first + items.length },
      c: { $in: items.map(({ content }) => content.c) },
    };
    await this.#connection.collection<EntryDocument>(this.#layout.entries(f)).deleteMany(strays);
    return true;
  }

  #settle(f: string, items: readonly Item[], first: number, time: number): void {
    const last = first + items.length - 1;
    this.#heads.learn(f, last, time);
    for (const [index, item] of items.entries()) finish(item, { seq: first + index });
    this.#onGrown(f, last);
  }
}

function finish(item: Item, landing: Landing): void {
  item.done = true;
  item.resolve(landing);
}

function entry(f: string, s: number, { content }: Item): EntryDocument {
  return { f, s, ...content };
}

/** The first items, as many as go in one command. */
function slice(items: readonly Item[]): Item[] {
  let bytes = 0;
  const over = items.findIndex(({ content, claim }, index) => {
    bytes += (content.d?.length ?? 0) + (claim?.d?.length ?? 0);
    return index >= maxEntries || (index > 0 && bytes > maxBytes);
  });
  return items.slice(0, over === -1 ? items.length : over);
}

/** Feeds in groups of one command each. */
function* slices(queues: readonly Queue[]): Generator<Queue[]> {
  for (let rest = [...queues]; rest.length > 0; ) {
    const count = slice(rest.map(({ items }) => items[0] as Item)).length;
    yield rest.splice(0, count);
  }
}
