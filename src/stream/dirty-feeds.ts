import type { Frame } from "../wire/frame.ts";
import type { Delivery } from "./delivery.ts";
import type { FollowedFeed } from "./followed-feeds.ts";

/** Frames of one feed that are taken at once. */
const batchSize = 64;
const endless = Number.POSITIVE_INFINITY;
const none: readonly Frame[] = [];

/** What is new in the feeds of one stream since its last write. */
export class DirtyFeeds {
  readonly #delivery: Delivery;
  /** Feeds with something new: the first, which knows the next, and the last. */
  #first: FollowedFeed | undefined;
  #last: FollowedFeed | undefined;
  /** A feed whose ring no longer has what comes next, and up to where the Store has it. */
  #behind: { readonly followed: FollowedFeed; readonly seq: number } | undefined;

  constructor(delivery: Delivery) {
    this.#delivery = delivery;
  }

  /** There is something new in a feed that is not here yet. */
  add(followed: FollowedFeed): void {
    if (this.#last) this.#last.next = followed;
    else this.#first = followed;
    this.#last = followed;
  }

  /** Whether `takeBehind` has something. */
  get isBehind(): boolean {
    return this.#behind !== undefined;
  }

  /** A feed whose next messages only the Store has, and up to which seq. */
  takeBehind(): { readonly followed: FollowedFeed; readonly seq: number } | undefined {
    const behind = this.#behind;
    this.#behind = undefined;
    return behind;
  }

  /** What the rings have and the stream wants; of a busy feed not all at once, and the feed wakes the stream again. */
  take(): readonly Frame[] {
    let batch = none;
    let followed = this.#first;
    this.#first = this.#last = undefined;
    for (let next: FollowedFeed | undefined; followed; followed = next) {
      next = followed.next;
      followed.next = undefined;
      followed.pending = false;
      const { frames, missing } = followed.cursor.take(batchSize, endless);
      if (missing !== undefined) this.#behind ??= { followed, seq: missing };
      // Of several that are behind, each has a round of its own.
      const waits = missing !== undefined && this.#behind?.followed !== followed;
      if (followed.cursor.isBehind || waits) followed.wake();
      const wanted = this.#delivery.wanted(followed, frames);
      if (wanted.length > 0) batch = batch.length > 0 ? [...batch, ...wanted] : wanted;
    }
    return batch;
  }
}
