/** ④ The hub of a node: which of its subscriptions follow which feed, and what is new in each. */

import type {
  Bus,
  BusEvent,
  DisconnectNotice,
  EntryNotice,
  LiveNotice,
  ReadNotice,
  RecallNotice,
} from "../ports/bus.ts";
import type { FeedBounds, FeedKey } from "../ports/store.ts";
import { noTracer, type TraceContext, type Tracer } from "../ports/tracer.ts";
import { tenantKey } from "../util/keys.ts";
import type { Flushable } from "../wire/flush-queue.ts";
import { MessageFrame } from "../wire/frame.ts";
import { feedId, type NamedFeed } from "./feed.ts";
import { Ring } from "./ring.ts";

/** Who is told of a feed. */
export interface FeedFollower {
  /** It has come to here in the feed. */
  readonly seq: number;
  /** Its ring, or the Store, has something new. */
  wake(): void;
  /** Messages of it were recalled. */
  recalled(notice: RecallNotice): void;
}

/** Who is told of a user. */
export interface UserFollower {
  /** The user's read state changed. */
  readChanged(notice: ReadNotice): void;
  /** Streams of the user are to end. */
  disconnected(notice: DisconnectNotice): void;
  /** Notices about the user may have been lost: this is the version of the user's read state in the Store. */
  recheck(version: number): void;
}

/** A user with open streams on this node. */
export interface JoinedUser {
  readonly tenant: string;
  readonly user: string;
}

interface Followed {
  readonly key: FeedKey;
  readonly name: string;
  readonly ring: Ring;
  readonly followers: Set<FeedFollower>;
}

/** Followers by feed and by user. */
export class Hub {
  readonly #feeds = new Map<string, Followed>();
  readonly #users = new Map<string, JoinedUser & { readonly followers: Set<UserFollower> }>();
  readonly #unsubscribe: () => void;

  readonly #tracer: Tracer;
  readonly #turn: { add(last: Flushable): void };

  /** `turn`: what is added to it is flushed after the streams that were woken before. */
  constructor(bus: Bus, tracer: Tracer = noTracer, turn: { add(last: Flushable): void } = { add() {} }) {
    this.#tracer = tracer;
    this.#turn = turn;
    this.#unsubscribe = bus.subscribe((notice) => this.#take(notice));
  }

  /** Follows a feed until `unfollow`; frames that come from now on are in the ring. */
  follow({ key, name }: NamedFeed, follower: FeedFollower): Ring {
    const id = feedId(key);
    const followed = this.#feeds.get(id) ?? { key, name, ring: new Ring(), followers: new Set() };
    this.#feeds.set(id, followed);
    followed.followers.add(follower);
    return followed.ring;
  }

  /** The last follower of a feed takes its ring along. */
  unfollow({ key }: NamedFeed, follower: FeedFollower): void {
    const id = feedId(key);
    const followed = this.#feeds.get(id);
    if (followed?.followers.delete(follower) && followed.followers.size === 0) this.#feeds.delete(id);
  }

  /** Hears of a user's read state until `leaveUser`. */
  joinUser(tenant: string, user: string, follower: UserFollower): void {
    const id = userId(tenant, user);
    const joined = this.#users.get(id) ?? { tenant, user, followers: new Set() };
    this.#users.set(id, joined);
    joined.followers.add(follower);
  }

  /** Stops hearing of a user. */
  leaveUser(tenant: string, user: string, follower: UserFollower): void {
    const id = userId(tenant, user);
    const joined = this.#users.get(id);
    if (joined?.followers.delete(follower) && joined.followers.size === 0) this.#users.delete(id);
  }

  /** Open streams of a user on this node. */
  streamsOf(tenant: string, user: string): number {
    return this.#followersOf(tenant, user).size;
  }

  /** The feeds that are followed. */
  get feeds(): readonly FeedKey[] {
    return [...this.#feeds.values()].map(({ key }) => key);
  }

  /** The users with open streams. */
  get users(): readonly JoinedUser[] {
    return [...this.#users.values()];
  }

  /** A notice about the feed may have been lost: what its ring has must not be trusted to be still there. */
  doubt(feed: FeedKey): void {
    this.#feeds.get(feedId(feed))?.ring.doubt();
  }

  /** Where the feed ends in the Store; followers who are not there yet read on. Answers whether there were any. */
  reach(feed: FeedKey, { seq, epoch }: FeedBounds): boolean {
    const followed = this.#feeds.get(feedId(feed));
    if (!followed?.ring.reach(seq, epoch)) return false;
    const behind = [...followed.followers].filter((follower) => follower.seq < seq);
    for (const follower of behind) follower.wake();
    return behind.length > 0;
  }

  /** Messages of the feed may have been recalled, and nobody knows which. */
  recallUnknown(feed: FeedKey): void {
    this.#recall({ type: "recall", feed, ids: [] });
  }

  /** The user's read state has this version in the Store. */
  recheck({ tenant, user }: JoinedUser, version: number): void {
    for (const follower of this.#followersOf(tenant, user)) follower.recheck(version);
  }

  /** Feeds that are followed: for tests of leaks. */
  get size(): number {
    return this.#feeds.size + this.#users.size;
  }

  /** Looks at every feed: for operators. */
  figures(): { readonly feeds: number; readonly followers: number; readonly users: number; readonly bytes: number } {
    let followers = 0;
    let bytes = 0;
    for (const followed of this.#feeds.values()) {
      followers += followed.followers.size;
      bytes += followed.ring.bytes;
    }
    return { feeds: this.#feeds.size, followers, users: this.#users.size, bytes };
  }

  /** Hears nothing more. */
  close(): void {
    this.#unsubscribe();
  }

  #followersOf(tenant: string, user: string): ReadonlySet<UserFollower> {
    return this.#users.get(userId(tenant, user))?.followers ?? nobody;
  }

  #take(notice: BusEvent): void {
    switch (notice.type) {
      case "entry":
      case "live":
        this.#push(notice);
        break;
      case "recall":
        this.#recall(notice);
        break;
      case "read":
        for (const follower of this.#followersOf(notice.tenant, notice.user)) follower.readChanged(notice);
        break;
      case "disconnect":
        for (const follower of this.#followersOf(notice.tenant, notice.user)) follower.disconnected(notice);
    }
  }

  #push(notice: EntryNotice | LiveNotice): void {
    const followed = this.#feeds.get(feedId(notice.feed));
    if (!followed) return;
    followed.ring.push(toFrame(followed.name, notice));
    for (const follower of followed.followers) follower.wake();
    if (notice.trace !== undefined) this.#trace(notice, notice.trace, followed.followers.size);
  }

  /** One span per message and node, whatever the number of streams: until all that waited for it were handed it. */
  #trace(notice: EntryNotice | LiveNotice, parent: TraceContext, streams: number): void {
    const attributes = { "tidings.streams": streams, "tidings.kept": notice.type === "entry" };
    const span = this.#tracer.start({ name: "deliver", kind: "consumer", parent, attributes });
    if (span) this.#turn.add({ flush: () => span.end() });
  }

  #recall(notice: RecallNotice): void {
    const followed = this.#feeds.get(feedId(notice.feed));
    if (!followed) return;
    followed.ring.recall(new Set(notice.ids));
    for (const follower of followed.followers) follower.recalled(notice);
  }
}

const nobody: ReadonlySet<UserFollower> = new Set();

function toFrame(feed: string, notice: EntryNotice | LiveNotice): MessageFrame {
  if (notice.type === "live") return new MessageFrame(notice.body, Number.POSITIVE_INFINITY);
  const { id, seq, epoch, body, expireTime } = notice;
  return new MessageFrame(body, expireTime, { id, seq, position: { feed, epoch, seq: String(seq) } });
}

function userId(tenant: string, user: string): string {
  return tenantKey(tenant, user);
}
