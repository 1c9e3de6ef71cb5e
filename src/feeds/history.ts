import type { Bus } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import { type FeedBounds, type FeedLog, unbounded } from "../ports/store.ts";
import { joinKey } from "../util/keys.ts";
import { ConcurrencyLimit } from "../util/limit.ts";
import { LruCache } from "../util/lru.ts";
import type { MessageFrame } from "../wire/frame.ts";
import { feedId, type NamedFeed } from "./feed.ts";
import type { StoredMessages } from "./stored-messages.ts";

/** The most messages on a page. */
const pageSize = 64;
/** The most reads of the store in flight; further reads wait for a slot. */
const maxReads = 32;
/** Bytes of memory for pages that other streams at the same position may need. */
const maxCached = 8 * 1024 * 1024;

/** A part of a feed as frames, oldest first. */
export interface FramePage {
  readonly bounds: FeedBounds;
  readonly frames: readonly MessageFrame[];
  /** The seqs of messages that cannot be decoded, ascending. */
  readonly damaged: readonly number[];
  /** The page is complete up to this seq. */
  readonly through: number;
}

interface CachedPage {
  readonly feed: string;
  readonly page: FramePage;
  /** As of the last count: frames keep more encodings as they are sent. */
  readonly cost: number;
}

/** Memory of a page besides its frames, in bytes. */
const pageBytes = 1024;

/** Reads missed messages for streams. Streams that lag at the same position share one read and its frames. */
export class HistoryReader {
  readonly #store: FeedLog;
  readonly #clock: Clock;
  readonly #messages: StoredMessages;
  readonly #reading = new Map<string, Promise<FramePage>>();
  readonly #cached = new LruCache<string, CachedPage>({ cost: maxCached, costOf: ({ cost }) => cost });
  /** Keys of cached pages that were read since they were counted. */
  readonly #uncounted = new Set<string>();
  readonly #unsubscribe: () => void;
  /** Counts losses of the bus: a page whose read began before the latest loss is not cached. */
  #doubts = 0;
  readonly #reads = new ConcurrencyLimit(maxReads);

  constructor(store: FeedLog, bus: Bus, clock: Clock, messages: StoredMessages) {
    this.#store = store;
    this.#clock = clock;
    this.#messages = messages;
    this.#unsubscribe = bus.subscribe((notice) => {
      if (notice.type === "lost") this.#doubt();
      else if (notice.type === "recall") this.#recall(feedId(notice.feed), new Set(notice.ids));
    });
  }

  /**
   * Returns the page after the seq `after`. It is complete up to `upTo` at least, or to the feed's end, unless it is full.
   * Rejects as the Store does.
   */
  read(feed: NamedFeed, after: number, upTo: number): Promise<FramePage> {
    const id = feedId(feed.key);
    const key = joinKey(id, String(after));
    const cached = this.#cached.get(key);
    if (cached && (cached.page.through >= upTo || cached.page.frames.length + cached.page.damaged.length >= pageSize)) {
      this.#uncounted.add(key);
      return Promise.resolve(cached.page);
    }
    return this.#reading.get(key) ?? this.#start(feed, after, key, id);
  }

  /** Reads of the Store in flight, reads that wait for a slot, and bytes of cached pages. */
  get figures(): { readonly reading: number; readonly waiting: number; readonly bytes: number } {
    this.#recount();
    return { reading: this.#reads.running, waiting: this.#reads.waiting, bytes: this.#cached.cost };
  }

  /** Stops listening to the bus, and frees the cached pages. */
  close(): void {
    this.#unsubscribe();
    this.#cached.clear();
  }

  #start(feed: NamedFeed, after: number, key: string, id: string): Promise<FramePage> {
    const doubts = this.#doubts;
    const reading = this.#fetch(feed, after).then((page) => {
      if (doubts === this.#doubts) this.#cache(key, id, page);
      return page;
    });
    this.#reading.set(key, reading);
    const done = () => this.#reading.get(key) === reading && this.#reading.delete(key);
    reading.then(done, done);
    return reading;
  }

  #fetch(feed: NamedFeed, after: number): Promise<FramePage> {
    return this.#reads.run(async () => {
      const now = this.#clock.now();
      const { bounds, entries, through } = await this.#store.read(feed.key, after, unbounded, pageSize, now);
      const frames: MessageFrame[] = [];
      const damaged: number[] = [];
      for (const entry of entries) {
        const frame = this.#messages.frame(feed, entry);
        if (frame) frames.push(frame);
        else damaged.push(entry.seq);
      }
      return { bounds, through, frames, damaged };
    });
  }

  #cache(key: string, feed: string, page: FramePage): void {
    this.#recount();
    this.#cached.set(key, { feed, page, cost: costOf(page) });
    // Its readers get it now.
    this.#uncounted.add(key);
  }

  /** Counts what pages keep since they were read. Before each page that is added, so that their number stays small. */
  #recount(): void {
    for (const key of this.#uncounted) {
      const cached = this.#cached.peek(key);
      if (!cached) continue;
      for (const frame of cached.page.frames) frame.release();
      this.#cached.set(key, { ...cached, cost: costOf(cached.page) });
    }
    this.#uncounted.clear();
  }

  /** The notice of a recall may have been lost: pages that are cached or being read may show recalled messages. */
  #doubt(): void {
    this.#doubts++;
    this.#cached.clear();
    this.#uncounted.clear();
    this.#reading.clear();
  }

  #recall(feed: string, ids: ReadonlySet<string>): void {
    for (const cached of this.#cached.values()) {
      if (cached.feed !== feed) continue;
      for (const frame of cached.page.frames) if (ids.has(frame.id)) frame.recalled = true;
    }
  }
}

function costOf({ frames }: FramePage): number {
  return frames.reduce((sum, { cost }) => sum + cost, pageBytes);
}
