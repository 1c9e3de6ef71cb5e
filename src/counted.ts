import type { Totals } from "./inbox.ts";

/** What the totals count of one feed: all up to `through`; the oldest unread one is at `oldest`. */
interface Reach {
  readonly through: number;
  oldest: number;
}

/** Up to where the totals that a reader was told are exact, and when they stop being so by themselves. */
export class Counted {
  readonly #keep: number;
  #feeds = new Map<string, Reach>();

  /** `keep`: messages kept per feed. */
  constructor(keep: number) {
    this.#keep = keep;
  }

  /** The reader is told these totals. */
  set({ feeds, heads, oldest }: Totals): void {
    const endless = Number.POSITIVE_INFINITY;
    this.#feeds = new Map(
      feeds.map(({ name }, index) => [name, { through: heads[index]?.seq ?? 0, oldest: oldest[index] ?? endless }]),
    );
  }

  /** Whether the totals are about a feed. */
  has(feed: string): boolean {
    return this.#feeds.has(feed);
  }

  /** Whether a message of a feed comes on top of the totals. */
  isBeyond(feed: string, seq: number): boolean {
    const reach = this.#feeds.get(feed);
    return reach !== undefined && seq > reach.through;
  }

  /** Whether with this message a counted one falls off the old end: a full feed drops its oldest with each new one. */
  overflows(feed: string, seq: number): boolean {
    return seq - this.#keep >= (this.#feeds.get(feed)?.oldest ?? Number.POSITIVE_INFINITY);
  }

  /** The reader counts this message. */
  add(feed: string, seq: number): void {
    const reach = this.#feeds.get(feed);
    if (reach) reach.oldest = Math.min(reach.oldest, seq);
  }
}
