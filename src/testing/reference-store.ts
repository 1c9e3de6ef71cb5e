import {
  type Append,
  type AppendResult,
  type Entry,
  type FeedBounds,
  type FeedKey,
  type FeedSlice,
  keyExpiry,
  keyLifetimeMs,
  type MessageLocation,
  type Recalled,
  type Selection,
  type SeqRanges,
  type StoredReadState,
} from "../ports/store.ts";

/** A message of the model. */
interface Known {
  readonly append: Append;
  /** Its seq in each feed, as far as readers can see it. */
  readonly seqs: Map<string, number>;
  /** Its seqs at the time of its recall. */
  readonly recalledSeqs: Map<string, number>;
  recalled: boolean;
  /** The message has expired, and another one has its key. */
  keyless: boolean;
}

interface Feed {
  seq: number;
  /** The tail lies between these: retention may pass over recalled and expired messages, but does not have to. */
  tail: [least: number, most: number];
}

/** A slow store in memory that defines what every store must do. Publish times must not decrease. */
export class StoreModel {
  readonly #keep: number;
  readonly #feeds = new Map<string, Feed>();
  #messages: Known[] = [];
  readonly #states = new Map<string, StoredReadState>();

  constructor(keep: number) {
    this.#keep = keep;
  }

  /** Returns the ids of a tenant's messages, including recalled and expired ones that the model still has. */
  ids(tenant: string): string[] {
    return this.#messages.filter(({ append }) => append.tenant === tenant).map(({ append }) => append.id);
  }

  /** Appends a message, and returns what the store's answer must match. `answer` decides where the law allows either. */
  append(append: Append, answer: AppendResult): object {
    const holder = this.#holder(append);
    if (holder) {
      // Retention by count may have dropped the message once its key may be reused, or may drop it later.
      const gone = !holder.recalled && holder.seqs.size === 0 && holder.append.feeds.length > 0;
      const open = gone && holder.append.publishTime + keyLifetimeMs <= (append.keyTime ?? append.publishTime);
      if (!open || answer.outcome !== "stored") {
        if (holder.append.digest !== append.digest) return { outcome: "conflict" };
        return { outcome: "duplicate", id: holder.append.id, publishTime: holder.append.publishTime, seqs: [] };
      }
      this.#messages = this.#messages.filter((known) => known !== holder);
    }
    for (const known of this.#messages) known.keyless ||= append.key !== "" && sameKey(known.append, append);
    const known: Known = { append, seqs: new Map(), recalledSeqs: new Map(), recalled: false, keyless: false };
    this.#messages.push(known);
    const seqs = append.feeds.map((name) => {
      const key = keyOf({ tenant: append.tenant, name });
      const feed = this.#feeds.get(key) ?? { seq: 0, tail: [1, 1] };
      this.#feeds.set(key, feed);
      known.seqs.set(key, ++feed.seq);
      const tail = Math.max(feed.tail[0], feed.seq - this.#keep + 1);
      feed.tail = [tail, tail];
      for (const { seqs } of this.#messages) if ((seqs.get(key) ?? tail) < tail) seqs.delete(key);
      return feed.seq;
    });
    return { outcome: "stored", id: append.id, publishTime: append.publishTime, seqs };
  }

  /** Removes the message that holds the key of `next` for good, and returns where readers could see it. */
  replace(next: Append): MessageLocation[] {
    const holder = this.#messages.find(({ append, keyless }) => !keyless && sameKey(append, next));
    if (!holder) return [];
    const feeds = holder.append.feeds.map((name) => ({ tenant: next.tenant, name }));
    const locations = locationsOf(holder, feeds);
    this.#messages = this.#messages.filter((known) => known !== holder);
    return locations;
  }

  /** Returns `id feed` for every live message of a batch in every feed. */
  batch(tenant: string, batchId: string, now: number): string[] {
    const batch = this.#messages.filter(({ append }) => append.tenant === tenant && append.batchId === batchId);
    return batch
      .filter(({ append }) => append.expireTime > now)
      .flatMap(({ append, seqs }) =>
        append.feeds.filter((name) => seqs.has(keyOf({ tenant, name }))).map((name) => `${append.id} ${name}`),
      );
  }

  /** Reports whether the law allows these bounds of a feed, and adopts their tail. */
  agreesOn(feed: FeedKey, bounds: FeedBounds): boolean {
    const known = this.#feeds.get(keyOf(feed)) ?? { seq: 0, tail: [1, 1] };
    const [least, most] = known.tail;
    known.tail = [bounds.tail, bounds.tail];
    return bounds.seq === known.seq && least <= bounds.tail && bounds.tail <= most;
  }

  /** Reports whether the law allows the `through` of a slice. */
  agreesOnSlice(feed: FeedKey, after: number, upTo: number, limit: number, now: number, slice: FeedSlice): boolean {
    const live = this.#entries(feed, now).filter(({ seq }) => seq > after && seq <= upTo);
    const last = slice.entries.at(-1)?.seq ?? after;
    const end = Math.max(after, Math.min(upTo, this.#feeds.get(keyOf(feed))?.seq ?? 0));
    const next = live[slice.entries.length]?.seq ?? end + 1;
    const full = slice.entries.length === limit;
    return full ? last <= slice.through && slice.through < next : slice.through === end;
  }

  /** Returns the seqs that a read must give. */
  read(feed: FeedKey, after: number, upTo: number, limit: number, now: number): number[] {
    const seqs = this.#entries(feed, now).map(({ seq }) => seq);
    return seqs.filter((seq) => seq > after && seq <= upTo).slice(0, limit);
  }

  /** Returns the seqs that a selection must give. */
  select({ feed, ranges, kinds, order, limit, now }: Selection): number[] {
    const found = this.#entries(feed, now).filter(
      ({ seq, kind }) => within(ranges, seq) && (kinds.length === 0 || kinds.includes(kind)),
    );
    return (order === "newest" ? found.reverse() : found).slice(0, limit).map(({ seq }) => seq);
  }

  /** Counts the live notifications in some ranges of each feed. */
  countNotifications(
    feeds: readonly FeedKey[],
    ranges: SeqRanges,
    now: number,
  ): { byCategory: Record<string, number>; nextExpiry: number } {
    const counted = feeds
      .flatMap((feed) => this.#entries(feed, now))
      .filter(({ kind, seq }) => kind === 1 && within(ranges, seq));
    const byCategory: Record<string, number> = {};
    for (const { category } of counted) byCategory[category] = (byCategory[category] ?? 0) + 1;
    return {
      byCategory,
      nextExpiry: Math.min(Number.POSITIVE_INFINITY, ...counted.map(({ expireTime }) => expireTime)),
    };
  }

  /** Returns the live entries of a feed, oldest first. */
  entries(
    feed: FeedKey,
    now: number,
  ): Pick<Entry, "seq" | "id" | "kind" | "category" | "publishTime" | "expireTime">[] {
    return this.#entries(feed, now).map(({ seq, id, kind, category, publishTime, expireTime }) => ({
      seq,
      id,
      kind,
      category,
      publishTime,
      expireTime,
    }));
  }

  /** Returns where messages lie within some feeds. */
  find(feeds: readonly FeedKey[], ids: readonly string[]): MessageLocation[] {
    return this.#messages.filter(({ append }) => ids.includes(append.id)).flatMap((known) => locationsOf(known, feeds));
  }

  /** Recalls messages, and returns where readers could see them. */
  recall(tenant: string, ids: readonly string[]): Recalled[] {
    const named = this.#messages.filter(({ append }) => append.tenant === tenant && ids.includes(append.id));
    return named.flatMap((known) => {
      const again = known.recalledSeqs.size > 0;
      known.recalled ||= known.seqs.size > 0 || known.append.feeds.length === 0;
      for (const [key, seq] of known.seqs) known.recalledSeqs.set(key, seq);
      known.seqs.clear();
      return known.append.feeds.flatMap((name) => {
        const feed = { tenant, name };
        const seq = known.recalledSeqs.get(keyOf(feed)) ?? 0;
        const tail = this.#feeds.get(keyOf(feed))?.tail[0] ?? 1;
        return seq >= tail ? [{ id: known.append.id, feed, seq, again }] : [];
      });
    });
  }

  /** Drops messages from before a time, and those that have expired. */
  trim(before: number, now: number): void {
    for (const { append, seqs } of this.#messages) {
      if (append.publishTime >= before) continue;
      for (const [key, seq] of seqs) {
        const feed = this.#feeds.get(key);
        if (feed) feed.tail[0] = Math.max(feed.tail[0], seq + 1);
      }
    }
    this.#messages = this.#messages.filter(({ append }) => append.publishTime >= before && keyExpiry(append) > now);
    for (const { append, seqs, recalledSeqs } of this.#messages) {
      if (append.expireTime > now) continue;
      seqs.clear();
      recalledSeqs.clear();
    }
    for (const [key, feed] of this.#feeds) {
      const kept = this.#messages.flatMap(({ seqs }) => seqs.get(key) ?? []);
      feed.tail[1] = Math.max(feed.tail[0], Math.min(feed.seq + 1, ...kept));
    }
  }

  /** Returns a user's read state. */
  readState(tenant: string, user: string): StoredReadState {
    return this.#states.get(JSON.stringify([tenant, user])) ?? { version: 0, json: "" };
  }

  /** Saves a read state if it is the next version, and reports whether it did. */
  saveReadState(tenant: string, user: string, state: StoredReadState): boolean {
    if (state.version !== this.readState(tenant, user).version + 1) return false;
    this.#states.set(JSON.stringify([tenant, user]), state);
    return true;
  }

  #holder({ tenant, key, publishTime, keyTime = publishTime }: Append): Known | undefined {
    if (key === "") return undefined;
    return this.#messages.findLast(
      ({ append }) => append.tenant === tenant && append.key === key && keyExpiry(append) > keyTime,
    );
  }

  #entries(feed: FeedKey, now: number): (Append & { seq: number })[] {
    const key = keyOf(feed);
    return this.#messages
      .flatMap(({ append, seqs }) =>
        seqs.has(key) && append.expireTime > now ? [{ ...append, seq: seqs.get(key) ?? 0 }] : [],
      )
      .sort((a, b) => a.seq - b.seq);
  }
}

function keyOf({ tenant, name }: FeedKey): string {
  return JSON.stringify([tenant, name]);
}

function sameKey(a: Append, b: Append): boolean {
  return a.tenant === b.tenant && a.key === b.key;
}

function within(ranges: SeqRanges, seq: number): boolean {
  return ranges.some(([from, to]) => from <= seq && seq <= to);
}

function locationsOf({ append, seqs }: Known, feeds: readonly FeedKey[]): MessageLocation[] {
  const { id, kind, category, expireTime } = append;
  return feeds.flatMap((feed) => {
    const seq = seqs.get(keyOf(feed));
    return seq === undefined ? [] : [{ id, feed, seq, kind, category, expireTime }];
  });
}
