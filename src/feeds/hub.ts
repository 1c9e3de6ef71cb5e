/** ④ The hub of a node: which of its streams follow which feed, and what is new in each feed. */
import type {
  Bus,
  BusEvent,
  DisconnectNotice,
  EntryNotice,
  FeedInterest,
  LiveNotice,
  ReadNotice,
  RecallNotice,
} from "../ports/bus.ts";
import type { FeedBounds, FeedKey } from "../ports/store.ts";
import { noTracer, type TraceContext, type Tracer } from "../ports/tracer.ts";
import { guard, warn } from "../util/guard.ts";
import { tenantKey } from "../util/keys.ts";
import type { ProcessCounts } from "../util/process-counts.ts";
import type { FlushQueue } from "../wire/flush-queue.ts";
import { MessageFrame } from "../wire/frame.ts";
import type { ReportUnencodable } from "../wire/unencodable.ts";
import { feedId, type NamedFeed, ownFeedName, userFeed } from "./feed.ts";
import { Ring, type RingReader } from "./ring.ts";
import { RingBatch } from "./ring-batch.ts";
import type { RingBudget } from "./ring-budget.ts";

/** A listener whose errors concern itself alone. */
interface Follower {
  /** Called with what another call of the listener threw. Without it, the error becomes a process warning. */
  failed?(error: unknown): void;
}

/** A listener to one feed. */
export interface FeedFollower extends Follower, RingReader {
  /** The last seq that it has sent or passed. */
  readonly seq: number;
  /**
   * Called when the feed's ring, or the Store, has something new. A follower that has taken everything before may add itself to
   * the batch, if there is one, and then has nothing else to do until the end of the event-loop tick.
   */
  wake(batch?: RingBatch): void;
  /** Called when messages of the feed were recalled; without ids, when some may have been. */
  recalled(notice: RecallNotice): void;
}

/** A listener to one user. */
export interface UserFollower extends Follower {
  /** Called when the user's read state changed. */
  readChanged(notice: ReadNotice): void;
  /** Called when streams of the user have to end. */
  disconnected(notice: DisconnectNotice): void;
  /** Called when notices about the user may have been lost, with the version of the user's read state in the Store. */
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
  /** The frames that the ring got in this event-loop tick; undefined outside of one. */
  batch: RingBatch | undefined;
}

/** What a hub needs besides the bus. */
export interface HubOptions {
  /** The memory of the rings. */
  readonly budget: RingBudget;
  /** Flushes batches, and ends the span of a message after the streams that it woke were flushed. */
  readonly flushQueue: Pick<FlushQueue, "add" | "share">;
  readonly tracer?: Tracer;
  /** Called with messages that a codec cannot encode. */
  readonly report?: ReportUnencodable;
  /** Counts the streams of users over all threads of the process. */
  readonly processCounts?: ProcessCounts | undefined;
}

/** Followers by feed and by user. It listens to the bus from its construction until `close`. */
export class Hub {
  readonly #feeds = new Map<string, Followed>();
  readonly #users = new Map<string, JoinedUser & { readonly followers: Set<UserFollower> }>();
  readonly #unsubscribe: () => void;
  /** The followed feeds, and the own feeds of users with streams: this node needs no notices about others. */
  readonly #interest: FeedInterest | undefined;
  readonly #tracer: Tracer;
  readonly #processCounts: ProcessCounts | undefined;
  readonly #flushQueue: Pick<FlushQueue, "add" | "share">;
  readonly #budget: RingBudget;
  readonly #report: ReportUnencodable | undefined;

  /** `report`: called with messages that a codec cannot encode. */
  constructor(bus: Bus, { budget, flushQueue, tracer = noTracer, report, processCounts }: HubOptions) {
    this.#budget = budget;
    this.#tracer = tracer;
    this.#flushQueue = flushQueue;
    this.#report = report;
    this.#processCounts = processCounts;
    this.#interest = bus.restrict?.();
    this.#unsubscribe = bus.subscribe((notice) => this.#take(notice));
  }

  /** Follows a feed until `unfollow`, and returns its ring, which gets every frame from now on. */
  follow({ key, name }: NamedFeed, follower: FeedFollower): Ring {
    const id = feedId(key);
    const followed = this.#feeds.get(id) ?? this.#open(key, name);
    this.#feeds.set(id, followed);
    followed.followers.add(follower);
    return followed.ring;
  }

  /** Stops following a feed. The ring goes with the last follower. */
  unfollow({ key }: NamedFeed, follower: FeedFollower): void {
    const id = feedId(key);
    const followed = this.#feeds.get(id);
    if (!followed?.followers.delete(follower)) return;
    // Frames may have waited for this follower alone.
    followed.ring.touch();
    if (followed.followers.size > 0) return;
    this.#feeds.delete(id);
    this.#interest?.delete(key);
    this.#budget.drop(followed.ring);
  }

  /** Listens to a user until `leaveUser`. */
  joinUser(tenant: string, user: string, follower: UserFollower): void {
    const id = userId(tenant, user);
    const joined = this.#users.get(id) ?? { tenant, user, followers: new Set() };
    this.#users.set(id, joined);
    if (joined.followers.size === 0) this.#interest?.add(userFeed(tenant, user).key);
    joined.followers.add(follower);
    this.#processCounts?.add(streamsKey(id), 1);
  }

  /** Stops listening to a user. */
  leaveUser(tenant: string, user: string, follower: UserFollower): void {
    const id = userId(tenant, user);
    const joined = this.#users.get(id);
    if (!joined?.followers.delete(follower)) return;
    this.#processCounts?.add(streamsKey(id), -1);
    if (joined.followers.size > 0) return;
    this.#users.delete(id);
    this.#interest?.delete(userFeed(tenant, user).key);
  }

  /** The number of a user's open streams on this node, in all its threads. */
  streamsOf(tenant: string, user: string): number {
    const own = this.#followersOf(tenant, user).size;
    return Math.max(own, this.#processCounts?.get(streamsKey(userId(tenant, user))) ?? 0);
  }

  /** The feeds that streams of this node follow. */
  get feeds(): readonly FeedKey[] {
    return [...this.#feeds.values()].map(({ key }) => key);
  }

  /** The users with open streams on this node. */
  get users(): readonly JoinedUser[] {
    return [...this.#users.values()];
  }

  /** A notice about the feed may have been lost, such as the recall of a message that is still in its ring. */
  doubt(feed: FeedKey): void {
    this.#feeds.get(feedId(feed))?.ring.doubt();
  }

  /** The feed has these bounds in the Store. Wakes the followers that are behind, and returns whether there were any. */
  advance(feed: FeedKey, { seq, epoch }: FeedBounds): boolean {
    const followed = this.#feeds.get(feedId(feed));
    if (!followed?.ring.advance(seq, epoch)) return false;
    const behind = [...followed.followers].filter((follower) => follower.seq < seq);
    wakeAll(behind);
    return behind.length > 0;
  }

  /** Messages of the feed may have been recalled, and it is not known which. */
  recallUnknown(feed: FeedKey): void {
    this.#recall({ type: "recall", feed, ids: [] });
  }

  /** The user's read state has this version in the Store. */
  recheck({ tenant, user }: JoinedUser, version: number): void {
    forEach(this.#followersOf(tenant, user), (follower) => follower.recheck(version));
  }

  /** The number of followed feeds and users; 0 once every stream is closed. */
  get size(): number {
    return this.#feeds.size + this.#users.size;
  }

  /** What the hub holds now, for operators. Visits every feed. */
  figures(): { readonly feeds: number; readonly followers: number; readonly users: number } {
    let followers = 0;
    for (const followed of this.#feeds.values()) followers += followed.followers.size;
    return { feeds: this.#feeds.size, followers, users: this.#users.size };
  }

  /** Stops listening to the bus. */
  close(): void {
    this.#unsubscribe();
  }

  #followersOf(tenant: string, user: string): ReadonlySet<UserFollower> {
    return this.#users.get(userId(tenant, user))?.followers ?? noFollowers;
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
        forEach(this.#followersOf(notice.tenant, notice.user), (follower) => follower.readChanged(notice));
        break;
      case "disconnect":
        forEach(this.#followersOf(notice.tenant, notice.user), (follower) => follower.disconnected(notice));
    }
  }

  #push(notice: EntryNotice | LiveNotice): void {
    const followed = this.#feeds.get(feedId(notice.feed));
    if (!followed) return;
    // A message for one reader is encoded once anyway: its encoding would only take memory.
    const isShared = followed.name !== ownFeedName || followed.followers.size > 1;
    // For the few pages of a user, a batch costs more than it saves.
    if (followed.name !== ownFeedName && followed.followers.size > 1) followed.batch ??= this.#batch(followed);
    followed.ring.push(toFrame(followed.name, notice, isShared, this.#report));
    wakeAll(followed.followers, followed.batch);
    if (notice.trace !== undefined) this.#trace(notice, notice.trace, followed.followers.size);
  }

  #open(key: FeedKey, name: string): Followed {
    this.#interest?.add(key);
    const followers = new Set<FeedFollower>();
    const freesPassed = name === ownFeedName;
    const ring = new Ring({ tenant: key.tenant, readers: followers, freesPassed, budget: this.#budget });
    return { key, name, ring, followers, batch: undefined };
  }

  #batch(followed: Followed): RingBatch {
    const batch = new RingBatch(followed.ring, this.#flushQueue, () => (followed.batch = undefined));
    // Queue the batch before the followers that queue themselves: these may join the next batch once they are flushed.
    this.#flushQueue.add(batch);
    return batch;
  }

  /** Traces one span per message and node, however many streams: it ends when every idle stream was handed the message. */
  #trace(notice: EntryNotice | LiveNotice, parent: TraceContext, streams: number): void {
    const attributes = { "tidings.streams": streams, "tidings.kept": notice.type === "entry" };
    const span = this.#tracer.start({ name: "deliver", kind: "consumer", parent, attributes });
    if (span) this.#flushQueue.add({ flush: () => span.end() });
  }

  #recall(notice: RecallNotice): void {
    const followed = this.#feeds.get(feedId(notice.feed));
    if (!followed) return;
    followed.ring.recall(new Set(notice.ids));
    forEach(followed.followers, (follower) => follower.recalled(notice));
  }
}

/** Wakes followers. No closure for each message: this is the hot path. */
function wakeAll(followers: Iterable<FeedFollower>, batch?: RingBatch): void {
  for (const follower of followers) {
    try {
      follower.wake(batch);
    } catch (error) {
      fail(follower, error);
    }
  }
}

/** Calls every follower. An error concerns its own follower: the others are called, and the bus learns nothing of it. */
function forEach<T extends Follower>(followers: Iterable<T>, call: (follower: T) => void): void {
  for (const follower of followers) {
    try {
      call(follower);
    } catch (error) {
      fail(follower, error);
    }
  }
}

function fail(follower: Follower, error: unknown): void {
  if (follower.failed) guard(warn, () => follower.failed?.(error));
  else warn(error);
}

const noFollowers: ReadonlySet<UserFollower> = new Set();

function toFrame(
  feed: string,
  notice: EntryNotice | LiveNotice,
  isShared: boolean,
  report: ReportUnencodable | undefined,
): MessageFrame {
  if (notice.type === "live") {
    return new MessageFrame(notice.body, Number.POSITIVE_INFINITY, undefined, report, isShared);
  }
  const { id, seq, epoch, body, expireTime } = notice;
  return new MessageFrame(body, expireTime, { id, seq, position: { feed, epoch, seq: String(seq) } }, report, isShared);
}

function userId(tenant: string, user: string): string {
  return tenantKey(tenant, user);
}

/** The key of a user's streams in the counts of the process. */
function streamsKey(id: string): string {
  return `streams\n${id}`;
}
