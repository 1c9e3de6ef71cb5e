import type { SeqRanges, StoredReadState } from "../ports/store.ts";
import { roomOf } from "../rooms/grants.ts";
import { SeqSet } from "./seq-set.ts";

interface Marks {
  readonly read: SeqSet;
  readonly deleted: SeqSet;
  /** Set for a room that a stranger put into the inbox, until the user enters it or publishes to it. */
  unanswered?: true;
}

/** Marks as they are stored. */
interface StoredMarks {
  readonly read: number[];
  readonly deleted: number[];
  readonly unanswered?: true;
}

/**
 * The messages that one user has read and deleted, as two sets of seqs per feed. All feeds share one small document, so any
 * change is one write. A message in neither set is unread, so a broadcast writes nothing here.
 */
export class ReadState {
  /** Grows by one with each saved change; 0 for a user without a stored state. */
  readonly version: number;
  readonly #feeds: Map<string, Marks>;

  private constructor(version: number, feeds: Map<string, Marks>) {
    this.version = version;
    this.#feeds = feeds;
  }

  /** Decodes a stored read state. */
  static decode({ version, json }: StoredReadState): ReadState {
    const stored = json === "" ? {} : (JSON.parse(json) as Record<string, StoredMarks>);
    const marks = Object.entries(stored).map(([feed, { read, deleted, unanswered }]): [string, Marks] => [
      feed,
      { read: SeqSet.from(read), deleted: SeqSet.from(deleted), ...(unanswered && { unanswered }) },
    ]);
    return new ReadState(version, new Map(marks));
  }

  /** The rooms whose notifications are in the user's inbox, in the order in which they were added. */
  get rooms(): readonly string[] {
    return [...this.#feeds.keys()].map(roomOf).filter((room) => room !== undefined);
  }

  /** Reports whether the state has sets for a feed. */
  hasFeed(feed: string): boolean {
    return this.#feeds.has(feed);
  }

  /** Reports whether a feed is of a room that a stranger put into the inbox, and the user has not answered since. */
  isUnanswered(feed: string): boolean {
    return this.#feeds.get(feed)?.unanswered === true;
  }

  /** Says that a stranger puts the room of a feed into the inbox. */
  setUnanswered(feed: string): void {
    this.#marks(feed).unanswered = true;
  }

  /** Makes the room of a feed the user's own. Returns whether it was not. */
  setAnswered(feed: string): boolean {
    const isChanged = this.isUnanswered(feed);
    delete this.#feeds.get(feed)?.unanswered;
    return isChanged;
  }

  /** Removes the sets of a feed. */
  removeFeed(feed: string): void {
    this.#feeds.delete(feed);
  }

  /** Encodes the state for the store, as the next version. */
  encode(): StoredReadState {
    return { version: this.version + 1, json: JSON.stringify(Object.fromEntries(this.#feeds)) };
  }

  /** Returns the set of read seqs of a feed, which the caller may change. */
  read(feed: string): SeqSet {
    return this.#marks(feed).read;
  }

  /** Returns the set of deleted seqs of a feed, which the caller may change. */
  deleted(feed: string): SeqSet {
    return this.#marks(feed).deleted;
  }

  /** Returns the ranges of a feed that are neither read nor deleted, between two seqs, both included. */
  unreadRanges(feed: string, upTo?: number, from = 1): SeqRanges {
    const { read, deleted } = this.#marks(feed);
    return read.union(deleted).gaps(from, upTo);
  }

  /** Returns the ranges of a feed that are read and not deleted, up to a seq. */
  readRanges(feed: string, upTo?: number): SeqRanges {
    const { read, deleted } = this.#marks(feed);
    return read.ranges(1, upTo).flatMap(([from, to]) => deleted.gaps(from, to));
  }

  /** Returns the ranges of a feed that are not deleted. */
  visibleRanges(feed: string): SeqRanges {
    return this.#marks(feed).deleted.gaps();
  }

  /** Joins the seqs up to `upTo`, which retention has trimmed, into one run, so that retention bounds the document. */
  compact(feed: string, upTo: number): void {
    const { read, deleted } = this.#marks(feed);
    read.add(1, upTo);
    deleted.remove(1, upTo);
  }

  #marks(feed: string): Marks {
    const known = this.#feeds.get(feed);
    if (known) return known;
    const marks = { read: SeqSet.from(), deleted: SeqSet.from() };
    this.#feeds.set(feed, marks);
    return marks;
  }
}
