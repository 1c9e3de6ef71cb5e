import type { Bus } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import type { Entry, FeedBounds, FeedLog } from "../ports/store.ts";
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
  readonly head: FeedBounds;
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
  /** The longest unused first. */
  readonly #kept = new Map<string, Kept>();
  readonly #unsubscribe: () => void;
  #bytes = 0;
  /** How often all that was read became doubtful. */
  #doubts = 0;
  #free = maxReading;
  #queue: (() => void)[] = [];

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
    const key = `${name}\n${after}`;
    const kept = this.#kept.get(key);
    if (kept && (kept.page.through >= upTo || kept.page.frames.length >= pageSize)) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return Promise.resolve(kept.page);
    }
    const reading = this.#reading.get(key) ?? this.#start(feed, after, key, name);
    return reading;
  }

  /** Reads of the store that are under way, those that wait for their turn, and bytes that are kept. */
  get figures(): { readonly reading: number; readonly waiting: number; readonly bytes: number } {
    return { reading: maxReading - this.#free, waiting: this.#queue.length, bytes: this.#bytes };
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

  async #fetch(feed: NamedFeed, after: number): Promise<FramePage> {
    while (this.#free === 0) await new Promise<void>((resolve) => this.#queue.push(resolve));
    this.#free--;
    try {
      const now = this.#clock.now();
      const { bounds: head, entries, through } = await this.#store.read(feed.key, after, endless, pageSize, now);
      return { head, through, frames: entries.map((entry) => toFrame(feed.name, entry)) };
    } finally {
      this.#free++;
      this.#queue.shift()?.();
    }
  }

  #keep(key: string, feed: string, page: FramePage): void {
    const cost = page.frames.reduce((sum, frame) => sum + frame.cost, 1024);
    this.#drop(key);
    this.#kept.set(key, { feed, page, cost });
    this.#bytes += cost;
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= maxKept) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#bytes -= this.#kept.get(key)?.cost ?? 0;
    this.#kept.delete(key);
  }

  /** A recall may have been lost: what is kept, or being read, may show what was taken back. */
  #doubt(): void {
    this.#doubts++;
    this.#bytes = 0;
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

const endless = Number.MAX_SAFE_INTEGER;

/** A stored message on its way to streams. */
export function toFrame(feed: string, { body, expireTime, id, seq, epoch }: Entry): MessageFrame {
  return new MessageFrame(body, expireTime, { id, seq, position: { feed, epoch, seq: String(seq) } });
}
