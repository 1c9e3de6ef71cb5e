import type { NamedFeed } from "../feeds/feed.ts";
import type { FeedFollower, Hub } from "../feeds/hub.ts";
import type { SeqSet } from "../inbox/seq-set.ts";
import type { RecallNotice } from "../ports/bus.ts";
import { Cursor } from "./cursor.ts";

const endless = Number.POSITIVE_INFINITY;

/** The stream that follows. */
export interface FollowingStream {
  /** A feed has something new. */
  wake(followed: FollowedFeed): void;
  /** Messages were taken back. */
  recalled(notice: RecallNotice): void;
}

/** A feed that a stream follows. */
export class FollowedFeed implements FeedFollower {
  readonly cursor: Cursor;
  readonly #stream: FollowingStream;
  /** Its messages are sent; else only what they do to the totals is told. */
  shown: boolean;
  /** The stream knows that there is something new. */
  pending = false;
  /** The next feed of the stream that has something new, while this one has. */
  next: FollowedFeed | undefined;
  /** What of it one of the user's pages has rung for; unset before the first message. */
  alerted: SeqSet | undefined;
  /** The totals that the reader was told count all notifications up to here; Infinity: they do not count this feed. */
  counted = endless;
  /** The oldest one that they count; Infinity for none. */
  oldest = endless;

  /** Whether the totals are about this feed. */
  get isCounted(): boolean {
    return this.counted !== endless;
  }

  constructor(stream: FollowingStream, hub: Hub, feed: NamedFeed, shown: boolean) {
    this.#stream = stream;
    this.shown = shown;
    this.cursor = new Cursor(feed, hub.follow(feed, this));
  }

  get seq(): number {
    return this.cursor.seq;
  }

  wake(): void {
    if (this.pending) return;
    this.pending = true;
    this.#stream.wake(this);
  }

  recalled(notice: RecallNotice): void {
    this.#stream.recalled(notice);
  }
}

/** The feeds of one stream, by name, in the order in which they came. */
export class FollowedFeeds {
  readonly #hub: Hub;
  readonly #stream: FollowingStream;
  readonly #feeds = new Map<string, FollowedFeed>();
  #closed = false;

  constructor(hub: Hub, stream: FollowingStream) {
    this.#hub = hub;
    this.#stream = stream;
  }

  /** Follows a feed from now on; of one that is followed already only the cursor starts anew. */
  add(feed: NamedFeed, shown: boolean): FollowedFeed {
    const before = this.#feeds.get(feed.name);
    const followed = new FollowedFeed(this.#stream, this.#hub, feed, shown);
    this.#feeds.set(feed.name, followed);
    if (before) {
      followed.counted = before.counted;
      followed.oldest = before.oldest;
      this.#hub.unfollow(feed, before);
    }
    // The stream ended while it waited for an answer, and nobody would unfollow.
    if (this.#closed) this.#hub.unfollow(feed, followed);
    return followed;
  }

  /** Sends nothing of a feed any more. */
  hide(name: string): void {
    const followed = this.#feeds.get(name);
    if (followed) followed.shown = false;
  }

  get(name: string): FollowedFeed | undefined {
    return this.#feeds.get(name);
  }

  /** All of them. */
  get all(): readonly FollowedFeed[] {
    return [...this.#feeds.values()];
  }

  /** Where the stream is in each feed whose messages it sends. */
  get positions() {
    return this.all.filter(({ shown }) => shown).map(({ cursor }) => cursor.position);
  }

  /** Follows nothing any more, whatever is added. */
  close(): void {
    this.#closed = true;
    for (const followed of this.all) this.#hub.unfollow(followed.cursor.feed, followed);
  }
}
