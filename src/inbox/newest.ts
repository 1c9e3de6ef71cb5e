import type { NamedFeed } from "../feeds/feed.ts";
import type { Entry, Selection, SeqRanges, Store } from "../ports/store.ts";
import { unbounded } from "../ports/store.ts";
import { clip } from "../util/seq-ranges.ts";
import { cutNewest } from "./selection.ts";

/** Messages of each feed that are read at first, of few feeds and of many. */
const firstOfFew = 20;
const firstOfMany = 2;
/** The most feeds that are few. */
const fewFeeds = 16;

/** A message of a list, and its feed. */
export interface Found {
  readonly feed: NamedFeed;
  readonly entry: Entry;
}

/** The newest messages of one feed below a seq, read from the store in parts. */
export class NewestOfFeed {
  readonly #feed: NamedFeed;
  readonly #select: (ranges: SeqRanges, limit: number) => Promise<readonly Entry[]>;
  readonly #store: Store;
  /** What was not looked through yet. */
  #ranges: SeqRanges;
  #before: number;
  #tail: number | undefined;
  #read: readonly Entry[] = [];
  #taken = 0;

  /** Looks through `ranges` below the seq `before`. The selection has the conditions and the feed. */
  constructor(
    store: Store,
    { feed, ranges, before }: { feed: NamedFeed; ranges: SeqRanges; before: number },
    selection: Omit<Selection, "feed" | "ranges" | "limit" | "expired" | "order" | "bodies">,
  ) {
    this.#store = store;
    this.#feed = feed;
    this.#ranges = ranges;
    this.#before = before;
    this.#select = (newest, limit) =>
      store.select({
        ...selection,
        feed: feed.key,
        ranges: newest,
        expired: false,
        order: "newest",
        bodies: true,
        limit,
      });
  }

  /** The newest message that was read and not taken. */
  get first(): Found | undefined {
    const entry = this.#read[this.#taken];
    return entry && { feed: this.#feed, entry };
  }

  /** Takes `first`. */
  take(): void {
    this.#taken++;
  }

  /** Reads up to `limit` messages if none is left of those read before, and there are more. */
  async fill(limit: number): Promise<void> {
    while (!this.first && this.#ranges.length > 0) {
      const { newest, older } = cutNewest(this.#ranges, this.#before);
      const entries = await this.#select(newest, limit);
      this.#read = entries;
      this.#taken = 0;
      this.#before = unbounded;
      const last = entries.at(-1);
      if (last && entries.length >= limit) {
        // The part may have more.
        this.#before = last.seq;
        continue;
      }
      // Most feeds end here: what is older was trimmed.
      if (older.length > 0) this.#tail ??= (await this.#store.bounds([this.#feed.key]))[0]?.tail ?? 1;
      this.#ranges = older.length > 0 ? clip(older, this.#tail ?? 1, unbounded) : [];
    }
  }
}

/** The newest messages of some feeds, each feed's in its own order. */
export interface Merged {
  readonly found: readonly Found[];
  /** Whether there are older ones. */
  readonly hasMore: boolean;
}

/**
 * Merges the newest messages of feeds: at most `limit`, and no further ones once their stored bodies exceed `maxBytes`. Only
 * a part of each feed is read ahead, so that a page of large messages takes little more memory than it may hold.
 */
export async function mergeNewest(feeds: readonly NewestOfFeed[], limit: number, maxBytes: number): Promise<Merged> {
  const found: Found[] = [];
  let bytes = 0;
  const ahead = Math.min(limit + 1, feeds.length > fewFeeds ? firstOfMany : firstOfFew);
  await Promise.all(feeds.map((feed) => feed.fill(ahead)));
  for (;;) {
    let next: NewestOfFeed | undefined;
    for (const feed of feeds) {
      const time = feed.first?.entry.publishTime;
      if (time !== undefined && time > (next?.first?.entry.publishTime ?? Number.NEGATIVE_INFINITY)) next = feed;
    }
    const first = next?.first;
    if (!next || !first) return { found, hasMore: false };
    if (found.length === limit || bytes > maxBytes) return { found, hasMore: true };
    found.push(first);
    bytes += first.entry.body.length;
    next.take();
    // As many as the page can still hold if they are as large as those before.
    const room = Math.ceil(((maxBytes - bytes) * found.length) / Math.max(1, bytes));
    await next.fill(Math.max(1, Math.min(room, limit + 1 - found.length)));
  }
}
