import type { SeqRanges, StoredReadState } from "../ports/store.ts";
import { roomOf } from "../rooms/grants.ts";
import { SeqSet } from "./seq-set.ts";

interface Marks {
  readonly read: SeqSet;
  readonly deleted: SeqSet;
}

/**
 * What one user has read and deleted, for all feeds in one small document: any change is one write, and a broadcast is
 * none. What is in no set is unread.
 */
export class ReadState {
  /** Grows by one with each change. */
  readonly version: number;
  readonly #feeds: Map<string, Marks>;

  private constructor(version: number, feeds: Map<string, Marks>) {
    this.version = version;
    this.#feeds = feeds;
  }

  /** Of what the store has; version 0 is a user who was never here. */
  static decode({ version, json }: StoredReadState): ReadState {
    const stored = json === "" ? {} : (JSON.parse(json) as Record<string, { read: number[]; deleted: number[] }>);
    const marks = Object.entries(stored).map(([feed, { read, deleted }]): [string, Marks] => [
      feed,
      { read: SeqSet.from(read), deleted: SeqSet.from(deleted) },
    ]);
    return new ReadState(version, new Map(marks));
  }

  /** The rooms whose notifications are in the user's inbox, in the order in which they came. */
  get rooms(): readonly string[] {
    return [...this.#feeds.keys()].map(roomOf).filter((room) => room !== undefined);
  }

  /** Whether it is about a feed. */
  holds(feed: string): boolean {
    return this.#feeds.has(feed);
  }

  /** Forgets a feed. */
  drop(feed: string): void {
    this.#feeds.delete(feed);
  }

  /** For the store: the next version. */
  encode(): StoredReadState {
    return { version: this.version + 1, json: JSON.stringify(Object.fromEntries(this.#feeds)) };
  }

  /** What the user has read of a feed; to be changed in place. */
  read(feed: string): SeqSet {
    return this.#marks(feed).read;
  }

  /** What the user has deleted of a feed; to be changed in place. */
  deleted(feed: string): SeqSet {
    return this.#marks(feed).deleted;
  }

  /** What the user has neither read nor deleted, up to a seq. */
  unreadRanges(feed: string, upTo?: number): SeqRanges {
    const { read, deleted } = this.#marks(feed);
    return read.union(deleted).gaps(1, upTo);
  }

  /** What the user has read and not deleted, up to a seq. */
  readRanges(feed: string, upTo?: number): SeqRanges {
    const { read, deleted } = this.#marks(feed);
    return read.ranges(1, upTo).flatMap(([from, to]) => deleted.gaps(from, to));
  }

  /** What the user has not deleted. */
  visibleRanges(feed: string): SeqRanges {
    return this.#marks(feed).deleted.gaps();
  }

  /** Joins what retention has trimmed into one run, so that retention bounds the document. */
  forget(feed: string, upTo: number): void {
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
