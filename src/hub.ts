/** ④ The hub of a node: which of its subscriptions follow which feed, and what is new in each. */
import type { Bus, DisconnectNotice, EntryNotice, LiveNotice, Notice, ReadNotice, RecallNotice } from "./bus.ts";
import type { NamedFeed } from "./feeds.ts";
import { MessageFrame } from "./frame.ts";
import { Ring } from "./ring.ts";
import type { FeedKey } from "./store.ts";

/** Who is told of a feed. */
export interface FeedFollower {
  /** Its ring has something new. */
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
}

interface Followed {
  readonly name: string;
  readonly ring: Ring;
  readonly followers: Set<FeedFollower>;
}

/** Followers by feed and by user. */
export class Hub {
  readonly #feeds = new Map<string, Followed>();
  readonly #users = new Map<string, Set<UserFollower>>();
  readonly #unsubscribe: () => void;

  constructor(bus: Bus) {
    this.#unsubscribe = bus.subscribe((notice) => this.#take(notice));
  }

  /** Follows a feed until `unfollow`; frames that come from now on are in the ring. */
  follow({ key, name }: NamedFeed, follower: FeedFollower): Ring {
    const id = feedId(key);
    const followed = this.#feeds.get(id) ?? { name, ring: new Ring(), followers: new Set() };
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
    const followers = this.#users.get(id) ?? new Set();
    this.#users.set(id, followers);
    followers.add(follower);
  }

  /** Stops hearing of a user. */
  leaveUser(tenant: string, user: string, follower: UserFollower): void {
    const id = userId(tenant, user);
    const followers = this.#users.get(id);
    if (followers?.delete(follower) && followers.size === 0) this.#users.delete(id);
  }

  /** Open streams of a user on this node. */
  streamsOf(tenant: string, user: string): number {
    return this.#users.get(userId(tenant, user))?.size ?? 0;
  }

  /** Feeds that are followed: for tests of leaks. */
  get size(): number {
    return this.#feeds.size + this.#users.size;
  }

  /** Hears nothing more. */
  close(): void {
    this.#unsubscribe();
  }

  #take(notice: Notice): void {
    switch (notice.type) {
      case "entry":
      case "live":
        this.#push(notice);
        break;
      case "recall":
        this.#recall(notice);
        break;
      case "read":
        for (const follower of this.#users.get(userId(notice.tenant, notice.user)) ?? []) follower.readChanged(notice);
        break;
      case "disconnect":
        for (const follower of this.#users.get(userId(notice.tenant, notice.user)) ?? []) follower.disconnected(notice);
    }
  }

  #push(notice: EntryNotice | LiveNotice): void {
    const followed = this.#feeds.get(feedId(notice.feed));
    if (!followed) return;
    followed.ring.push(toFrame(followed.name, notice));
    for (const follower of followed.followers) follower.wake();
  }

  #recall(notice: RecallNotice): void {
    const followed = this.#feeds.get(feedId(notice.feed));
    if (!followed) return;
    followed.ring.recall(new Set(notice.ids));
    for (const follower of followed.followers) follower.recalled(notice);
  }
}

function toFrame(feed: string, notice: EntryNotice | LiveNotice): MessageFrame {
  if (notice.type === "live") return new MessageFrame(notice.body, Number.POSITIVE_INFINITY);
  const { id, seq, epoch, body, expireTime } = notice;
  return new MessageFrame(body, expireTime, { id, seq, position: { feed, epoch, seq: String(seq) } });
}

/** Ids have no control characters, so the newline keeps `a` + `b/c` and `a/b` + `c` apart. */
function feedId({ tenant, name }: FeedKey): string {
  return `${tenant}\n${name}`;
}

function userId(tenant: string, user: string): string {
  return `${tenant}\n${user}`;
}
