import { Cursor } from "./cursor.ts";
import type { NamedFeed } from "./feeds.ts";
import type { Follower, Hub } from "./hub.ts";

/** A feed that a stream follows. */
export interface Followed {
  readonly cursor: Cursor;
  /** Its messages are sent; else only what they do to the totals is told. */
  shown: boolean;
}

/** The feeds of one stream, by name, in the order in which they came. */
export class Follows {
  readonly #hub: Hub;
  readonly #follower: Follower;
  readonly #feeds = new Map<string, Followed>();
  #closed = false;

  constructor(hub: Hub, follower: Follower) {
    this.#hub = hub;
    this.#follower = follower;
  }

  /** Follows a feed from now on; one that is followed already starts anew. */
  add(feed: NamedFeed, shown: boolean): Followed {
    const followed = { cursor: new Cursor(feed, this.#hub.follow(feed, this.#follower)), shown };
    this.#feeds.set(feed.name, followed);
    // The stream ended while it waited for an answer, and nobody would unfollow.
    if (this.#closed) this.#hub.unfollow(feed, this.#follower);
    return followed;
  }

  /** Sends nothing of a feed any more. */
  hide(name: string): void {
    const followed = this.#feeds.get(name);
    if (followed) followed.shown = false;
  }

  get(name: string): Followed | undefined {
    return this.#feeds.get(name);
  }

  /** All of them. */
  get all(): readonly Followed[] {
    return [...this.#feeds.values()];
  }

  /** Where the stream is in each feed whose messages it sends. */
  get positions() {
    return this.all.filter(({ shown }) => shown).map(({ cursor }) => cursor.position);
  }

  /** Follows nothing any more, whatever is added. */
  close(): void {
    this.#closed = true;
    for (const { cursor } of this.all) this.#hub.unfollow(cursor.feed, this.#follower);
  }
}
