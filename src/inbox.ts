import { create } from "@bufbuild/protobuf";
import { type Position, type UnreadTotals, UnreadTotalsSchema } from "../gen/tidings/v1/message_pb.ts";
import type { DeleteMessagesRequest, MarkReadRequest } from "../gen/tidings/v1/push_service_pb.ts";
import type { Bus } from "./bus.ts";
import type { Clock } from "./clock.ts";
import { fail } from "./errors.ts";
import { followedFeeds, inboxFeeds, type NamedFeed } from "./feeds.ts";
import type { UserIdentity } from "./identity.ts";
import { ReadState } from "./read-state.ts";
import { endless } from "./seq-set.ts";
import type { Entry, Head, Selection, SeqRanges, Store } from "./store.ts";

/** A user's totals, and up to where they are exact. */
export interface Totals {
  readonly unread: UnreadTotals;
  /** Heads of the inbox feeds, in their order: every notification up to these is counted, none after. */
  readonly heads: readonly Head[];
  /** When the next counted message expires; Infinity for never. */
  readonly nextExpiry: number;
  /** Per inbox feed, the oldest seq that is counted; Infinity for none. */
  readonly oldest: readonly number[];
  /** The read state that they were counted by. */
  readonly state: ReadState;
}

/** A message that a change touches. */
interface Target {
  readonly feed: string;
  readonly seq: number;
  readonly id: string;
}

/** The last seq of a feed that a request may touch. */
type Reach = (feed: string) => number;

/** Names beyond this are not announced: whoever shows a list lists again. */
const maxAnnounced = 1000;
/** Attempts to save a read state that other devices change at the same time. */
const maxAttempts = 20;
const dayMs = 86_400_000;
const notification = 1;

/** A user's unread totals and read state. Every change is one write, announced to all streams of the user. */
export class Inbox {
  readonly #store: Store;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #newcomerMs: number;

  /** `newcomerDays`: how old a broadcast may be to be unread for a user who appears for the first time. */
  constructor(store: Store, bus: Bus, clock: Clock, newcomerDays: number) {
    this.#store = store;
    this.#bus = bus;
    this.#clock = clock;
    this.#newcomerMs = newcomerDays * dayMs;
  }

  /** The user's read state; on first contact what was broadcast long before counts as read, for good. */
  async state(user: UserIdentity): Promise<ReadState> {
    const stored = await this.#store.readState(user.tenant, user.subject);
    if (stored.version > 0) return ReadState.decode(stored);
    const state = ReadState.decode(stored);
    const [, ...broadcasts] = inboxFeeds(user);
    for (const feed of broadcasts) {
      const [last] = await this.#store.select({
        ...this.#anything(feed, [[1, endless]]),
        endTime: this.#clock.now() - this.#newcomerMs,
        limit: 1,
      });
      state.read(feed.name).add(1, last?.seq ?? 0);
    }
    // When another device was faster, its state is as good.
    await this.#store.saveReadState(user.tenant, user.subject, state.encode());
    return ReadState.decode(await this.#store.readState(user.tenant, user.subject));
  }

  /** The user's totals now. */
  async totals(user: UserIdentity): Promise<Totals> {
    return this.#count(user, await this.state(user));
  }

  /**
   * MarkRead. Throws POSITION_INVALID, POSITION_IN_FUTURE, and CONFLICT when other devices keep changing the state.
   */
  async mark(user: UserIdentity, request: MarkReadRequest): Promise<{ changed: number; unread: UnreadTotals }> {
    const wholly = request.target.case === "all" && request.categories.length === 0;
    const reach = await this.#reach(user, request.upTo);
    return this.#change(user, (state) =>
      wholly ? this.#markAll(user, state, request, reach) : this.#markSome(user, state, request, reach),
    );
  }

  /** DeleteMessages of a user. */
  async delete(user: UserIdentity, request: DeleteMessagesRequest): Promise<{ changed: number; unread: UnreadTotals }> {
    return this.#change(user, async (state) => {
      const targets = request.ids
        ? await this.#deletable(user, state, request)
        : await this.#deletableByFilter(user, state, request);
      for (const { feed, seq } of targets) state.deleted(feed).add(seq);
      return { changed: targets.length, notice: { deletedIds: targets.map(({ id }) => id) } };
    });
  }

  /** Applies a change until it is saved against the state it was made for; saves and announces nothing when nothing changed. */
  async #change(
    user: UserIdentity,
    apply: (state: ReadState) => Promise<{ changed: number; notice: Partial<ChangeNotice> }>,
  ): Promise<{ changed: number; unread: UnreadTotals }> {
    const { tenant, subject } = user;
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const state = await this.state(user);
      const { changed, notice } = await apply(state);
      if (changed > 0) {
        await this.#forgetTrimmed(user, state);
        if (!(await this.#store.saveReadState(tenant, subject, state.encode()))) continue;
        this.#bus.publish([{ type: "read", tenant, user: subject, ...nothingChanged, ...named(notice) }]);
      }
      return { changed, unread: (await this.totals(user)).unread };
    }
    throw fail("CONFLICT", "other devices keep changing the read state; repeat the request", { retryAfterMs: 100 });
  }

  async #forgetTrimmed(user: UserIdentity, state: ReadState): Promise<void> {
    const feeds = inboxFeeds(user);
    const heads = await this.#store.heads(feeds.map(({ key }) => key));
    feeds.forEach(({ name }, index) => {
      state.forget(name, (heads[index]?.tail ?? 1) - 1);
    });
  }

  /** How far a request reaches into each feed: wholly without positions; with some, not into feeds that they do not name. */
  async #reach(user: UserIdentity, upTo: readonly Position[]): Promise<Reach> {
    if (upTo.length === 0) return () => endless;
    const feeds = followedFeeds(user);
    const heads = await this.#store.heads(feeds.map(({ key }) => key));
    const reach = new Map<string, number>();
    upTo.forEach(({ feed, epoch, seq }, index) => {
      const field = `up_to[${index}]`;
      const head = heads[feeds.findIndex(({ name }) => name === feed)];
      if (!head || reach.has(feed)) {
        throw fail("POSITION_INVALID", "give one position per feed that the caller follows", {
          field: `${field}.feed`,
        });
      }
      // A position of another life of the feed says nothing about this one.
      const present = epoch === 0 || epoch === head.epoch;
      if (present && Number(seq) > head.seq) {
        throw fail("POSITION_IN_FUTURE", `the feed ${feed} is only at ${head.seq}`, {
          field,
          metadata: { head: String(head.seq) },
        });
      }
      reach.set(feed, present ? Number(seq) : 0);
    });
    return (feed) => reach.get(feed) ?? 0;
  }

  async #markAll(user: UserIdentity, state: ReadState, { unread, upTo }: MarkReadRequest, reach: Reach) {
    const feeds = inboxFeeds(user);
    const limits = feeds.map(({ name }) => reach(name));
    const ranges = feeds.map(({ name }, i) =>
      unread ? state.readRanges(name, limits[i]) : state.unreadRanges(name, limits[i]),
    );
    const tally = await this.#store.tally(
      feeds.map(({ key }, i) => ({ feed: key, ranges: ranges[i] as SeqRanges })),
      this.#clock.now(),
    );
    feeds.forEach(({ name }, i) => {
      const last = Math.min(limits[i] as number, tally.heads[i]?.seq ?? 0);
      if (unread) state.read(name).remove(1, last);
      else state.read(name).add(1, last);
    });
    return { changed: sum(tally.byCategory.values()), notice: { all: !unread && upTo.length === 0 } };
  }

  async #markSome(user: UserIdentity, state: ReadState, request: MarkReadRequest, reach: Reach) {
    const { target, unread } = request;
    const find = target.case === "ids" ? this.#markable : this.#markableByFilter;
    const targets = await find.call(this, user, state, request, reach);
    for (const { feed, seq } of targets) {
      if (unread) state.read(feed).remove(seq);
      else state.read(feed).add(seq);
    }
    const ids = targets.map(({ id }) => id);
    return { changed: targets.length, notice: unread ? { unreadIds: ids } : { readIds: ids } };
  }

  /** Of the ids asked for, what would change. */
  async #markable(user: UserIdentity, state: ReadState, request: MarkReadRequest, reach: Reach): Promise<Target[]> {
    const { target, categories, unread } = request;
    const ids = target.case === "ids" ? target.value.messageIds : [];
    const found = await this.#find(user, state, ids);
    const now = this.#clock.now();
    return found.filter(
      ({ feed, seq, kind, category, expireTime }) =>
        kind === notification &&
        expireTime > now &&
        seq <= reach(feed) &&
        (categories.length === 0 || categories.includes(category)) &&
        state.read(feed).has(seq) === unread,
    );
  }

  /** All, or the first N, of some categories: what would change, oldest first. */
  async #markableByFilter(
    user: UserIdentity,
    state: ReadState,
    request: MarkReadRequest,
    reach: Reach,
  ): Promise<Target[]> {
    const { target, categories, unread } = request;
    const limit = target.case === "oldest" ? target.value : endless;
    const feeds = inboxFeeds(user);
    const found = await this.#selectFrom(feeds, ({ name }) => {
      const ranges = unread ? state.readRanges(name, reach(name)) : state.unreadRanges(name, reach(name));
      return { ranges, kinds: [notification], categories, order: "oldest", limit };
    });
    return found.sort((a, b) => a.publishTime - b.publishTime || (a.id < b.id ? -1 : 1)).slice(0, limit);
  }

  async #deletable(
    user: UserIdentity,
    state: ReadState,
    { ids, category, expiredOnly }: DeleteMessagesRequest,
  ): Promise<Target[]> {
    const found = await this.#find(user, state, ids?.messageIds ?? []);
    const now = this.#clock.now();
    return found.filter(
      (place) => (category === "" || place.category === category) && expiredOnly === place.expireTime <= now,
    );
  }

  async #deletableByFilter(
    user: UserIdentity,
    state: ReadState,
    { category, expiredOnly }: DeleteMessagesRequest,
  ): Promise<Target[]> {
    return this.#selectFrom(inboxFeeds(user), ({ name }) => ({
      ranges: state.visibleRanges(name),
      categories: category === "" ? [] : [category],
      expired: expiredOnly,
    }));
  }

  /** Places of messages in the user's inbox; deleted ones are as missing as foreign ones. */
  async #find(user: UserIdentity, state: ReadState, ids: readonly string[]) {
    const feeds = inboxFeeds(user);
    const places = await this.#store.find(
      feeds.map(({ key }) => key),
      [...new Set(ids)],
    );
    return places
      .map((place) => ({ ...place, feed: feeds.find(({ key }) => key.name === place.feed.name)?.name ?? "" }))
      .filter(({ feed, seq }) => !state.deleted(feed).has(seq));
  }

  async #selectFrom(
    feeds: readonly NamedFeed[],
    refine: (feed: NamedFeed) => Partial<Selection> & { ranges: SeqRanges },
  ): Promise<(Target & Pick<Entry, "publishTime">)[]> {
    const lists = await Promise.all(
      feeds.map(async (feed) => {
        const refined = refine(feed);
        const entries = await this.#store.select({ ...this.#anything(feed, refined.ranges), ...refined });
        return entries.map(({ seq, id, publishTime }) => ({ feed: feed.name, seq, id, publishTime }));
      }),
    );
    return lists.flat();
  }

  #anything({ key }: NamedFeed, ranges: SeqRanges): Selection {
    return { ...everything, feed: key, ranges, now: this.#clock.now() };
  }

  async #count(user: UserIdentity, state: ReadState): Promise<Totals> {
    const feeds = inboxFeeds(user).map(({ name, key }) => ({ feed: key, ranges: state.unreadRanges(name) }));
    const { byCategory, heads, nextExpiry, oldest } = await this.#store.tally(feeds, this.#clock.now());
    const unread = create(UnreadTotalsSchema, {
      total: sum(byCategory.values()),
      byCategory: Object.fromEntries(byCategory),
      version: String(state.version),
    });
    return { unread, heads, nextExpiry, oldest, state };
  }
}

interface ChangeNotice {
  readonly readIds: readonly string[];
  readonly unreadIds: readonly string[];
  readonly deletedIds: readonly string[];
  readonly all: boolean;
}

const nothingChanged: ChangeNotice = { readIds: [], unreadIds: [], deletedIds: [], all: false };

/** A selection of everything in a feed, newest first, without bodies. */
const everything = {
  kinds: [],
  categories: [],
  actorId: "",
  objectType: "",
  objectId: "",
  batchId: "",
  startTime: Number.NEGATIVE_INFINITY,
  endTime: Number.POSITIVE_INFINITY,
  expired: false,
  order: "newest",
  bodies: false,
  limit: endless,
} as const satisfies Partial<Selection>;

function named(notice: Partial<ChangeNotice>): Partial<ChangeNotice> {
  const { readIds = [], unreadIds = [], deletedIds = [] } = notice;
  return readIds.length + unreadIds.length + deletedIds.length > maxAnnounced ? {} : notice;
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
