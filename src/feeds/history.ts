import type { Bus } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import { type Entry, type FeedBounds, type FeedLog, unbounded } from "../ports/store.ts";
import { joinKey } from "../util/keys.ts";
import { ConcurrencyLimit } from "../util/limit.ts";
import { LruCache } from "../util/lru.ts";
import { MessageFrame } from "../wire/frame.ts";
import { feedId, type NamedFeed } from "./feed.ts";

/** Messages on a page. */
const pageSize = 64;
/** Reads of the store under way at most; whoever lags more waits for its turn. */
const maxReading = 32;
/** Bytes of pages that are kept for the next who lags at the same place. */
const maxKept = 8 * 1024 * 1024;

/** A stretch of a feed as frames. */
export interface FramePage {
  readonly bounds: FeedBounds;
  readonly frames: readonly MessageFrame[];
  /** The page is complete up to here. */
  readonly through: number;
}

interface Kept {
  readonly feed: string;
  readonly page: FramePage;
  readonly cost: number;
}

/** What streams read of the past: those that lag at the same place share one read and its frames. */
export class HistoryReader {
  readonly #store: FeedLog;
  readonly #clock: Clock;
  readonly #reading = new Map<string, Promise<FramePage>>();
  readonly #kept = new LruCache<string, Kept>({ cost: maxKept, costOf: ({ cost }) => cost });
  readonly #unsubscribe: () => void;
  /** How often all that was read became doubtful. */
  #doubts = 0;
  readonly #reads = new ConcurrencyLimit(maxReading);

  constructor(store: FeedLog, bus: Bus, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#unsubscribe = bus.subscribe((notice) => {
      if (notice.type === "lost") this.#doubt();
      else if (notice.type === "recall") this.#recall(feedId(notice.feed), new Set(notice.ids));
    });
  }

  /** The page after `after`; it reaches beyond that if the feed does, up to `upTo` at least where it is not full. */
  read(feed: NamedFeed, after: number, upTo: number): Promise<FramePage> {
    const name = feedId(feed.key);
    const key = joinKey(name, String(after));
    const kept = this.#kept.get(key);
    if (kept && (kept.page.through >= upTo || kept.page.frames.length >= pageSize)) {
      return Promise.resolve(kept.page);
    }
    const reading = this.#reading.get(key) ?? this.#start(feed, after, key, name);
    return reading;
  }

  /** Reads of the store that are under way, those that wait for their turn, and bytes that are kept. */
  get figures(): { readonly reading: number; readonly waiting: number; readonly bytes: number } {
    return { reading: this.#reads.running, waiting: this.#reads.waiting, bytes: this.#kept.cost };
  }

  /** Hears nothing more, and keeps nothing. */
  close(): void {
    this.#unsubscribe();
    this.#kept.clear();
  }

  #start(feed: NamedFeed, after: number, key: string, name: string): Promise<FramePage> {
    const doubts = this.#doubts;
    const reading = this.#fetch(feed, after).then((page) => {
      if (doubts === this.#doubts) this.#keep(key, name, page);
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
      return { bounds, through, frames: entries.map((entry) => toFrame(feed.name, entry)) };
    });
  }

  #keep(key: string, feed: string, page: FramePage): void {
    const cost = page.frames.reduce((sum, frame) => sum + frame.cost, 1024);
    this.#kept.set(key, { feed, page, cost });
  }

  /** A recall may have been lost: what is kept, or being read, may show what was taken back. */
  #doubt(): void {
    this.#doubts++;
    this.#kept.clear();
    this.#reading.clear();
  }

  #recall(feed: string, ids: ReadonlySet<string>): void {
    for (const kept of this.#kept.values()) {
      if (kept.feed !== feed) continue;
      for (const frame of kept.page.frames) if (ids.has(frame.id)) frame.recalled = true;
    }
  }
}

/** A stored message on its way to streams. */
export function toFrame(feed: string, { body, expireTime, id, seq, epoch }: Entry): MessageFrame {
  return new MessageFrame(body, expireTime, { id, seq, position: { feed, epoch, seq: String(seq) } });
}
