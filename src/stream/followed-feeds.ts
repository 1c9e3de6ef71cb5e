import type { Position } from "../../gen/tidings/v1/message_pb.ts";
import type { Gap } from "../../gen/tidings/v1/push_service_pb.ts";
import { fail } from "../errors.ts";
import type { NamedFeed } from "../feeds/feed.ts";
import type { FeedFollower, Hub } from "../feeds/hub.ts";
import type { RingBatch } from "../feeds/ring-batch.ts";
import type { SeqSet } from "../inbox/seq-set.ts";
import type { RecallNotice } from "../ports/bus.ts";
import { type FeedBounds, unbounded } from "../ports/store.ts";
import { canonicalRoom, roomFeed, roomOf } from "../rooms/grants.ts";
import { Cursor, type StartPosition } from "./cursor.ts";

/** The stream that follows feeds. */
export interface FollowingStream {
  /**
   * A feed has something new. Called once until the stream has looked at the feed and cleared `dirty`. The stream may add
   * itself to the batch.
   */
  wake(followed: FollowedFeed, batch?: RingBatch): void;
  /** Messages were recalled. */
  recalled(notice: RecallNotice): void;
  /** One of these calls threw. */
  failed?(error: unknown): void;
}

/** One feed that a stream follows. */
export class FollowedFeed implements FeedFollower {
  readonly cursor: Cursor;
  readonly #stream: FollowingStream;
  /** Whether the client gave a position to start after. */
  hasPosition = false;
  /** Whether its messages are sent; a hidden feed is followed for the totals only. */
  shown: boolean;
  /** Whether the stream knows that there is something new. */
  dirty = false;
  /** The next dirty feed of the stream, while this one is dirty. */
  next: FollowedFeed | undefined;
  /** The seqs for which one of the user's pages has alerted; unset before the first message. */
  alerted: SeqSet | undefined;
  /** The reader's totals count every notification up to this seq; `unbounded` when they do not count this feed. */
  countedThrough = unbounded;
  /** The oldest notification that they count; `unbounded` for none. */
  oldestCounted = unbounded;

  constructor(stream: FollowingStream, hub: Hub, feed: NamedFeed, shown: boolean) {
    this.#stream = stream;
    this.shown = shown;
    this.cursor = new Cursor(feed, hub.follow(feed, this));
  }

  /** Whether the reader's totals count this feed. */
  get isCounted(): boolean {
    return this.countedThrough !== unbounded;
  }

  get seq(): number {
    return this.cursor.seq;
  }

  get slot(): number {
    return this.cursor.slot;
  }

  wake(batch?: RingBatch): void {
    if (this.dirty) return;
    this.dirty = true;
    this.#stream.wake(this, batch);
  }

  recalled(notice: RecallNotice): void {
    this.#stream.recalled(notice);
  }

  failed(error: unknown): void {
    if (!this.#stream.failed) throw error;
    this.#stream.failed(error);
  }
}

/** The feeds of one stream by name, in the order in which they were added, and the positions to start them from. */
export class FollowedFeeds {
  readonly #hub: Hub;
  readonly #stream: FollowingStream;
  readonly #feeds = new Map<string, FollowedFeed>();
  /** The positions to start from, by feed, until they are used. Unset without any: most streams start at the end. */
  #starts: Map<string, StartPosition> | undefined;
  readonly #hasDuplicates: boolean;
  #closed = false;

  /** `positions`: what the client gave, unchecked until `start`. */
  constructor(hub: Hub, stream: FollowingStream, positions: readonly Position[]) {
    this.#hub = hub;
    this.#stream = stream;
    if (positions.length > 0) this.#starts = byFeed(positions);
    this.#hasDuplicates = (this.#starts?.size ?? 0) < positions.length;
  }

  /** Follows a feed from now on. A feed that is followed already gets a new cursor and keeps its totals. */
  add(feed: NamedFeed, shown: boolean): FollowedFeed {
    const before = this.#feeds.get(feed.name);
    const followed = new FollowedFeed(this.#stream, this.#hub, feed, shown);
    this.#feeds.set(feed.name, followed);
    if (before) {
      followed.countedThrough = before.countedThrough;
      followed.oldestCounted = before.oldestCounted;
      this.#hub.unfollow(feed, before);
    }
    // close() ran while the stream awaited an answer; following now would leak the follower.
    if (this.#closed) this.#hub.unfollow(feed, followed);
    return followed;
  }

  /**
   * Starts the cursors of all shown feeds, and returns the gaps. Throws POSITION_INVALID for two positions of one feed,
   * and for a position of a feed that is neither shown nor in `refused`; otherwise as `startOne`.
   */
  start(bounds: ReadonlyMap<string, FeedBounds>, refused: ReadonlySet<string>): readonly Gap[] {
    this.#checkPositions(refused);
    return this.all
      .filter(({ shown }) => shown)
      .map((followed) => this.startOne(followed, bounds.get(followed.cursor.feed.name) as FeedBounds))
      .filter((gap) => gap !== undefined);
  }

  /** Starts a feed's cursor after the client's position, or at the feed's end without one. Throws POSITION_IN_FUTURE. */
  startOne(followed: FollowedFeed, bounds: FeedBounds): Gap | undefined {
    const { cursor } = followed;
    const given = this.#starts?.get(cursor.feed.name);
    followed.hasPosition = given !== undefined;
    this.#starts?.delete(cursor.feed.name);
    if (this.#starts?.size === 0) this.#starts = undefined;
    return cursor.start(bounds, given);
  }

  /** Stops following a feed that was added hidden and never started. */
  remove(followed: FollowedFeed): void {
    const { cursor } = followed;
    this.#hub.unfollow(cursor.feed, followed);
    if (this.#feeds.get(cursor.feed.name) === followed) this.#feeds.delete(cursor.feed.name);
    // The feed may be dirty already, and must not be read from its first message then.
    cursor.start({ epoch: 1, seq: unbounded, tail: 1 }, undefined);
  }

  /** Sends nothing more of a feed. */
  hide(name: string): void {
    const followed = this.#feeds.get(name);
    if (followed) followed.shown = false;
  }

  get(name: string): FollowedFeed | undefined {
    return this.#feeds.get(name);
  }

  /** Every feed of the stream. */
  get all(): readonly FollowedFeed[] {
    return [...this.#feeds.values()];
  }

  /** The stream's position in each shown feed. */
  get positions(): readonly Position[] {
    return this.all.filter(({ shown }) => shown).map(({ cursor }) => cursor.position);
  }

  /** Unfollows every feed, and each that is added later. */
  close(): void {
    this.#closed = true;
    for (const followed of this.all) this.#hub.unfollow(followed.cursor.feed, followed);
  }

  #checkPositions(refused: ReadonlySet<string>): void {
    if (this.#hasDuplicates) {
      throw fail("POSITION_INVALID", "give one position per feed", { field: "positions" });
    }
    for (const [feed, { field }] of this.#starts ?? []) {
      if (this.get(feed)?.shown || refused.has(feed)) continue;
      throw fail("POSITION_INVALID", `the stream does not follow ${feed}; leave it out`, { field: `${field}.feed` });
    }
  }
}

/** Positions by the names of their feeds; direct rooms by their canonical names. */
function byFeed(positions: readonly Position[]): Map<string, StartPosition> {
  const starts = new Map<string, StartPosition>();
  positions.forEach((position, index) => {
    const room = roomOf(position.feed);
    const feed = room === undefined ? position.feed : roomFeed("", canonicalRoom(room)).name;
    starts.set(feed, { position, field: `positions[${index}]` });
  });
  return starts;
}
