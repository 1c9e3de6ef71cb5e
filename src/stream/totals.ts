import type { UserIdentity } from "../auth/identity.ts";
import { inboxFeeds, type NamedFeed } from "../feeds/feed.ts";
import type { Decision, RingBatch } from "../feeds/ring-batch.ts";
import type { Totals } from "../inbox/inbox.ts";
import { ReadChange } from "../inbox/read-change.ts";
import { type FeedBounds, notificationKind, unbounded } from "../ports/store.ts";
import type { MessageFrame } from "../wire/frame.ts";
import type { StreamContext } from "./context.ts";
import type { FollowedFeed, FollowedFeeds } from "./followed-feeds.ts";
import type { Timers } from "./timers.ts";

/** A stream's start: the bounds of its feeds by name, and the totals that are exact at these. */
export interface StartState {
  readonly bounds: ReadonlyMap<string, FeedBounds>;
  /** Undefined for a service. */
  readonly totals: Totals | undefined;
}

/**
 * The unread totals that the reader of one stream has. The reader adds one for each notification that it gets; where that
 * goes wrong, `change` becomes due and the stream sends new totals. A service has no totals.
 */
export class StreamTotals {
  readonly #context: Pick<StreamContext, "inbox" | "store" | "settings">;
  readonly #feeds: FollowedFeeds;
  readonly #timers: Timers;
  /** Changes of the read state that the reader does not have yet. */
  readonly change = new ReadChange();
  /** Whose totals these are, by the latest token; undefined for a service. */
  user: UserIdentity | undefined;
  #version: number | undefined;

  constructor(
    context: Pick<StreamContext, "inbox" | "store" | "settings">,
    feeds: FollowedFeeds,
    timers: Timers,
    user: UserIdentity | undefined,
  ) {
    this.#context = context;
    this.#feeds = feeds;
    this.#timers = timers;
    this.user = user;
  }

  /** The version of the read state that the last totals were counted by; undefined before the first. */
  get version(): number | undefined {
    return this.#version;
  }

  /** Counts the first totals, and asks for the bounds of the feeds that they do not count. Rejects as the Store does. */
  async start(): Promise<StartState> {
    const { user } = this;
    const counted = new Set(user && inboxFeeds(user).map(({ name }) => name));
    const others = this.#feeds.all.map(({ cursor }) => cursor.feed).filter(({ name }) => !counted.has(name));
    const [found, totals] = await Promise.all([
      others.length === 0 ? [] : this.#context.store.bounds(others.map(({ key }) => key)),
      user && this.#count((follow) => this.#context.inbox.totals(user, follow)),
    ]);
    const bounds = new Map(others.map(({ name }, index) => [name, found[index] as FeedBounds]));
    // A room may be among both; the totals are exact at their own bounds.
    totals?.feeds.forEach(({ name }, index) => {
      bounds.set(name, totals.bounds[index] as FeedBounds);
    });
    return { bounds, totals };
  }

  /** Counts new totals; undefined for a service. Rejects as the Store does. */
  async recount(): Promise<Totals | undefined> {
    // Does not enroll the token's rooms: two pages whose tokens name too many rooms would evict each other's for ever.
    const { user } = this;
    return user && this.#count((follow) => this.#context.inbox.recount(user, follow));
  }

  /** The cursor has come to `seq`. A full feed drops its oldest message with each new one, which may have been counted. */
  passed(followed: FollowedFeed, seq: number): void {
    const dropped = seq - this.#context.settings.retention.count;
    if (seq > followed.countedThrough && dropped >= followed.oldestCounted) this.change.totalsOnly();
  }

  /** Keeps the totals right for a message that is not expired or recalled. `isShown`: the reader gets it. */
  count(followed: FollowedFeed, frame: MessageFrame, isShown: boolean): void {
    if (frame.seq > followed.countedThrough) this.#countNew(followed, frame, isShown);
    // The room has lost its slot in the inbox, but the reader counts what it gets.
    else if (isShown && !followed.isCounted && this.user && frame.summary.kind === notificationKind)
      this.change.totalsOnly();
  }

  /**
   * Keeps the totals right for a batch, as `passed` and `count` do for each of its messages. Returns false, and changes
   * nothing, where new totals may become due, which only `passed` and `count` can decide.
   */
  countBatch(followed: FollowedFeed, { seq, lastSeq }: RingBatch, decision: Decision): boolean {
    const { countedThrough, oldestCounted } = followed;
    if (countedThrough === unbounded) return this.user === undefined || !decision.showsNotification;
    if (countedThrough > seq || decision.hidesNotification) return false;
    const { firstNotification, expireTime } = decision;
    const isOlder = firstNotification < oldestCounted;
    const oldest = isOlder ? firstNotification : oldestCounted;
    if (lastSeq > seq && lastSeq - this.#context.settings.retention.count >= oldest) return false;
    if (isOlder) followed.oldestCounted = firstNotification;
    if (expireTime !== Number.POSITIVE_INFINITY) this.#timers.messageExpires(expireTime);
    return true;
  }

  #countNew(followed: FollowedFeed, { seq, expireTime, summary }: MessageFrame, isShown: boolean): void {
    if (summary.kind !== notificationKind) return;
    followed.oldestCounted = Math.min(followed.oldestCounted, seq);
    this.#timers.messageExpires(expireTime);
    // The reader cannot count what it does not get.
    if (!isShown) this.change.totalsOnly();
  }

  /** Follows every feed before it is counted, so that no message after the count goes unseen, and takes the totals. */
  async #count(count: (follow: (feeds: readonly NamedFeed[]) => void) => Promise<Totals>): Promise<Totals> {
    const fresh = new Map<string, FollowedFeed>();
    try {
      const totals = await count((feeds) => {
        for (const feed of feeds) if (!this.#feeds.get(feed.name)) fresh.set(feed.name, this.#feeds.add(feed, false));
      });
      totals.feeds.forEach(({ name }, index) => {
        fresh.get(name)?.cursor.start(totals.bounds[index] as FeedBounds, undefined);
        fresh.delete(name);
      });
      this.#take(totals);
      return totals;
    } finally {
      // The store did not answer, or a room has left the inbox meanwhile.
      for (const followed of fresh.values()) this.#feeds.remove(followed);
    }
  }

  /** From now on the reader has these totals. */
  #take({ feeds, bounds, oldest, nextExpiry, state }: Totals): void {
    feeds.forEach(({ name }, index) => {
      const followed = this.#feeds.get(name);
      if (!followed) return;
      followed.countedThrough = bounds[index]?.seq ?? 0;
      followed.oldestCounted = oldest[index] ?? unbounded;
    });
    this.#timers.messageExpires(nextExpiry);
    this.#version = state.version;
  }
}
