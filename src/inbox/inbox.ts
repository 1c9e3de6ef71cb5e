import { create } from "@bufbuild/protobuf";
import { type Position, type UnreadTotals, UnreadTotalsSchema } from "../../gen/tidings/v1/message_pb.ts";
import type { DeleteMessagesRequest, MarkReadRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import type { UserIdentity } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import { activityFeed, type NamedFeed } from "../feeds/feed.ts";
import type { Clock } from "../ports/clock.ts";
import {
  type Entry,
  type FeedBounds,
  notificationKind,
  type Selection,
  type SeqRanges,
  type Store,
  unbounded,
} from "../ports/store.ts";
import type { ReadState } from "./read-state.ts";
import type { Change, ReadStateService, UserState } from "./read-state-service.ts";
import { selectAll } from "./selection.ts";

/** A user's totals, and up to where they are exact. */
export interface Totals {
  readonly unread: UnreadTotals;
  /** The feeds of the inbox. */
  readonly feeds: readonly NamedFeed[];
  /** Heads of the inbox feeds, in their order: every notification up to these is counted, none after. */
  readonly bounds: readonly FeedBounds[];
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

/** A user's unread totals and read state. Every change is one write, announced to all streams of the user. */
export class Inbox {
  readonly #store: Store;
  readonly #states: ReadStateService;
  readonly #clock: Clock;

  constructor(store: Store, states: ReadStateService, clock: Clock) {
    this.#store = store;
    this.#states = states;
    this.#clock = clock;
  }

  /** The user's totals now; rooms that the token names are in the inbox from now on. */
  async totals(user: UserIdentity): Promise<Totals> {
    return this.#count(await this.#states.load(user));
  }

  /** The user's totals now, of the inbox as it is. */
  async recount(user: UserIdentity): Promise<Totals> {
    return this.#count(await this.#states.read(user));
  }

  /**
   * MarkRead. Throws POSITION_INVALID, POSITION_IN_FUTURE, and CONFLICT when other devices keep changing the state.
   */
  async mark(user: UserIdentity, request: MarkReadRequest): Promise<{ changed: number; unread: UnreadTotals }> {
    const wholly = request.target.case === "all" && request.categories.length === 0;
    const { feeds } = await this.#states.load(user);
    const reach = await this.#reach([...feeds, activityFeed(user.tenant)], request.upTo);
    return this.#change(user, feeds, (state) =>
      wholly ? this.#markAll({ state, feeds }, request, reach) : this.#markSome({ state, feeds }, request, reach),
    );
  }

  /** DeleteMessages of a user. */
  async delete(user: UserIdentity, request: DeleteMessagesRequest): Promise<{ changed: number; unread: UnreadTotals }> {
    const { feeds } = await this.#states.load(user);
    return this.#change(user, feeds, async (state) => {
      const targets = request.ids
        ? await this.#deletable({ state, feeds }, request)
        : await this.#deletableByFilter({ state, feeds }, request);
      for (const { feed, seq } of targets) state.deleted(feed).add(seq);
      return { changed: targets.length, notice: { deletedIds: targets.map(({ id }) => id) } };
    });
  }

  async #change(
    user: UserIdentity,
    feeds: readonly NamedFeed[],
    apply: (state: ReadState) => Promise<Change>,
  ): Promise<{ changed: number; unread: UnreadTotals }> {
    const changed = await this.#states.change(user.tenant, user.subject, async (state) => {
      const change = await apply(state);
      if (change.changed > 0) await this.#forgetTrimmed({ state, feeds });
      return change;
    });
    return { changed, unread: (await this.totals(user)).unread };
  }

  async #forgetTrimmed({ state, feeds }: UserState): Promise<void> {
    const heads = await this.#store.bounds(feeds.map(({ key }) => key));
    feeds.forEach(({ name }, index) => {
      state.forget(name, (heads[index]?.tail ?? 1) - 1);
    });
  }

  /** How far a request reaches into each feed: wholly without positions; with some, not into feeds that they do not name. */
  async #reach(feeds: readonly NamedFeed[], upTo: readonly Position[]): Promise<Reach> {
    if (upTo.length === 0) return () => unbounded;
    const heads = await this.#store.bounds(feeds.map(({ key }) => key));
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

  async #markAll({ state, feeds }: UserState, { unread, upTo }: MarkReadRequest, reach: Reach) {
    const limits = feeds.map(({ name }) => reach(name));
    const ranges = feeds.map(({ name }, i) =>
      unread ? state.readRanges(name, limits[i]) : state.unreadRanges(name, limits[i]),
    );
    const tally = await this.#store.countNotifications(
      feeds.map(({ key }, i) => ({ feed: key, ranges: ranges[i] as SeqRanges })),
      this.#clock.now(),
    );
    feeds.forEach(({ name }, i) => {
      const last = Math.min(limits[i] as number, tally.bounds[i]?.seq ?? 0);
      if (unread) state.read(name).remove(1, last);
      else state.read(name).add(1, last);
    });
    return { changed: sum(tally.byCategory.values()), notice: { all: !unread && upTo.length === 0 } };
  }

  async #markSome(mine: UserState, request: MarkReadRequest, reach: Reach) {
    const { state } = mine;
    const { target, unread } = request;
    const find = target.case === "ids" ? this.#markable : this.#markableByFilter;
    const targets = await find.call(this, mine, request, reach);
    for (const { feed, seq } of targets) {
      if (unread) state.read(feed).remove(seq);
      else state.read(feed).add(seq);
    }
    const ids = targets.map(({ id }) => id);
    return { changed: targets.length, notice: unread ? { unreadIds: ids } : { readIds: ids } };
  }

  /** Of the ids asked for, what would change. */
  async #markable(mine: UserState, request: MarkReadRequest, reach: Reach): Promise<Target[]> {
    const { state } = mine;
    const { target, categories, unread } = request;
    const ids = target.case === "ids" ? target.value.messageIds : [];
    const found = await this.#find(mine, ids);
    const now = this.#clock.now();
    return found.filter(
      ({ feed, seq, kind, category, expireTime }) =>
        kind === notificationKind &&
        expireTime > now &&
        seq <= reach(feed) &&
        (categories.length === 0 || categories.includes(category)) &&
        state.read(feed).has(seq) === unread,
    );
  }

  /** All, or the first N, of some categories: what would change, oldest first. */
  async #markableByFilter({ state, feeds }: UserState, request: MarkReadRequest, reach: Reach): Promise<Target[]> {
    const { target, categories, unread } = request;
    const limit = target.case === "oldest" ? target.value : unbounded;
    const found = await this.#selectFrom(feeds, ({ name }) => {
      const ranges = unread ? state.readRanges(name, reach(name)) : state.unreadRanges(name, reach(name));
      return { ranges, kinds: [notificationKind], categories, order: "oldest", limit };
    });
    return found.sort((a, b) => a.publishTime - b.publishTime || (a.id < b.id ? -1 : 1)).slice(0, limit);
  }

  async #deletable(mine: UserState, { ids, category, expiredOnly }: DeleteMessagesRequest): Promise<Target[]> {
    const found = await this.#find(mine, ids?.messageIds ?? []);
    const now = this.#clock.now();
    return found.filter(
      (place) => (category === "" || place.category === category) && expiredOnly === place.expireTime <= now,
    );
  }

  async #deletableByFilter(
    { state, feeds }: UserState,
    { category, expiredOnly }: DeleteMessagesRequest,
  ): Promise<Target[]> {
    return this.#selectFrom(feeds, ({ name }) => ({
      ranges: state.visibleRanges(name),
      categories: category === "" ? [] : [category],
      expired: expiredOnly,
    }));
  }

  /** Places of messages in the user's inbox; deleted ones are as missing as foreign ones. */
  async #find({ state, feeds }: UserState, ids: readonly string[]) {
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
        const entries = await this.#store.select({ ...selectAll(feed, refined.ranges, this.#clock.now()), ...refined });
        return entries.map(({ seq, id, publishTime }) => ({ feed: feed.name, seq, id, publishTime }));
      }),
    );
    return lists.flat();
  }

  async #count({ state, feeds }: UserState): Promise<Totals> {
    const unreadIn = feeds.map(({ name, key }) => ({ feed: key, ranges: state.unreadRanges(name) }));
    const {
      byCategory,
      bounds: heads,
      nextExpiry,
      oldest,
    } = await this.#store.countNotifications(unreadIn, this.#clock.now());
    const unread = create(UnreadTotalsSchema, {
      total: sum(byCategory.values()),
      byCategory: Object.fromEntries(byCategory),
      version: String(state.version),
    });
    return { unread, feeds, bounds: heads, nextExpiry, oldest, state };
  }
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
