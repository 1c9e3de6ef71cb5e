import type { Append, FeedKey, StoredReadState } from "../../../src/ports/store.ts";

/** One message in one feed, as an immutable document: an operation replaces it. */
export interface Doc {
  readonly feed: string;
  readonly seq: number;
  /** Unique in its feed: the idempotency key, or the message's id when there is none. "" when the key was released. */
  readonly key: string;
  readonly append: Append;
  /** The statement that inserted it, by which a driver's retry recognises its own document. */
  readonly statement: number;
  /** When it was inserted, by the server's clock. */
  readonly time: number;
  /** A tombstone: the message was recalled, and only key and seq are left. */
  readonly erased: boolean;
}

/** A write in the log of the replica set. */
export type Operation =
  | { readonly do: "insert"; readonly doc: Doc }
  | { readonly do: "erase"; readonly feed: string; readonly seq: number }
  /** Releases the key of an expired message. */
  | { readonly do: "release"; readonly feed: string; readonly seq: number }
  | { readonly do: "remove"; readonly feed: string; readonly seqs: readonly number[] }
  /** Removes documents that no reader has ever seen. */
  | { readonly do: "withdraw"; readonly feed: string; readonly seqs: readonly number[] }
  | { readonly do: "tail"; readonly feed: string; readonly tail: number }
  | { readonly do: "state"; readonly key: string; readonly state: StoredReadState };

/** The documents of one feed. */
export class FeedDocs {
  readonly bySeq: Map<number, Doc>;
  readonly byKey: Map<string, number>;
  /** All seqs, ascending. */
  readonly seqs: number[];
  /** The oldest seq that retention by age has kept. */
  tail: number;

  constructor(from?: FeedDocs) {
    this.bySeq = new Map(from?.bySeq);
    this.byKey = new Map(from?.byKey);
    this.seqs = [...(from?.seqs ?? [])];
    this.tail = from?.tail ?? 1;
  }

  /** The largest seq; 0 without messages. */
  get last(): number {
    return this.seqs.at(-1) ?? 0;
  }

  /** The documents from a seq on, in order. */
  docs(from = 0): Doc[] {
    return this.seqs.filter((seq) => seq >= from).map((seq) => this.bySeq.get(seq) as Doc);
  }

  insert(doc: Doc): void {
    let index = this.seqs.length;
    while (index > 0 && (this.seqs[index - 1] as number) > doc.seq) index--;
    this.seqs.splice(index, 0, doc.seq);
    this.bySeq.set(doc.seq, doc);
    if (doc.key !== "") this.byKey.set(doc.key, doc.seq);
  }

  replace(seq: number, change: Partial<Doc>): void {
    const doc = this.bySeq.get(seq);
    if (!doc) return;
    if (change.key === "") this.byKey.delete(doc.key);
    this.bySeq.set(seq, { ...doc, ...change });
  }

  remove(seqs: readonly number[]): void {
    for (const seq of seqs) {
      const doc = this.bySeq.get(seq);
      if (!doc) continue;
      this.bySeq.delete(seq);
      if (this.byKey.get(doc.key) === seq) this.byKey.delete(doc.key);
      this.seqs.splice(this.seqs.indexOf(seq), 1);
    }
  }
}

/** All documents of one member of the replica set. */
export class Documents {
  readonly feeds: Map<string, FeedDocs>;
  readonly states: Map<string, StoredReadState>;

  constructor(from?: Documents) {
    this.feeds = new Map([...(from?.feeds ?? [])].map(([key, feed]) => [key, new FeedDocs(feed)]));
    this.states = new Map(from?.states);
  }

  /** A feed; empty when nothing was ever written to it. */
  feed(key: string): FeedDocs {
    const known = this.feeds.get(key);
    if (known) return known;
    const feed = new FeedDocs();
    this.feeds.set(key, feed);
    return feed;
  }

  apply(operation: Operation): void {
    if (operation.do === "state") {
      this.states.set(operation.key, operation.state);
      return;
    }
    const feed = this.feed(operation.do === "insert" ? operation.doc.feed : operation.feed);
    if (operation.do === "insert") feed.insert(operation.doc);
    else if (operation.do === "erase") feed.replace(operation.seq, { erased: true });
    else if (operation.do === "release") feed.replace(operation.seq, { key: "" });
    else if (operation.do === "tail") feed.tail = Math.max(feed.tail, operation.tail);
    else feed.remove(operation.seqs);
  }
}

/** One string for a feed. Ids have no control characters, so the newline makes it unambiguous. */
export function feedId({ tenant, name }: FeedKey): string {
  return `${tenant}\n${name}`;
}

/** The feed of a string from `feedId`. */
export function feedKey(id: string): FeedKey {
  const [tenant = "", name = ""] = id.split("\n");
  return { tenant, name };
}
