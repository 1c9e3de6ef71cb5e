import { create } from "@bufbuild/protobuf";
import { type Position, type UnreadTotals, UnreadTotalsSchema } from "../../gen/tidings/v1/message_pb.ts";
import type { DeleteMessagesRequest, MarkReadRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import type { UserIdentity } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import { activityFeed, type NamedFeed } from "../feeds/feed.ts";
import type { Bus } from "../ports/bus.ts";
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
import { maxNamedIds } from "./read-change.ts";
import type { ReadState } from "./read-state.ts";
import type { Change, ReadStateService, UserState } from "./read-state-service.ts";
import { selectAll, slicesOf } from "./selection.ts";
import { type Target, Targets } from "./targets.ts";
import { countByGroups, isSameInbox, UnreadCounter } from "./unread-counter.ts";

/** A user's unread totals, and the bounds of the feeds at which they are exact. */
export interface Totals {
  readonly unread: UnreadTotals;
  /** The feeds of the inbox. */
  readonly feeds: readonly NamedFeed[];
  /** The bounds of these feeds, in the same order: every notification up to their end is counted, and none after it. */
  readonly bounds: readonly FeedBounds[];
  /** When the next counted message expires, in ms since the Unix epoch; Infinity for never. */
  readonly nextExpiry: number;
  /** The oldest counted seq of each of these feeds, in the same order; Infinity for none. */
  readonly oldest: readonly number[];
  /** The read state by which the messages were counted. */
  readonly state: ReadState;
}

/** A selection of one feed, named as its reader knows it. */
interface FeedSelection {
  readonly feed: string;
  readonly selection: Selection;
  readonly bounds: FeedBounds;
}

type Published = Target & Pick<Entry, "publishTime">;

/** Feeds that are searched for their oldest messages at the same time. */
const feedsTogether = 8;

/** Gets the feeds that are about to be counted. */
type BeforeCount = (feeds: readonly NamedFeed[]) => void;

/** Returns the last seq of a feed that a request may change. */
type SeqLimit = (feed: string) => number;

/**
 * A user's inbox: its unread totals, and the requests that mark its messages as read or delete them.
 *
 * The read state has no floor: no seq below which everything counts as read. For each feed it has the set of seqs that the
 * user has read and the set that the user has deleted, as ranges; a message in neither set is unread. So a broadcast
 * writes no read state, and marking everything as read is one write that leaves one range per feed.
 *
 * When a user first meets a room or a feed of broadcasts, its messages older than `newcomerDays` go into the read set, so
 * that a new user does not begin with years of unread history.
 *
 * Totals are counted from the store, once for each version of the read state and then by what came since, so no counter can
 * drift. They are exact at the bounds that the feeds had when they were counted.
 *
 * Every change is one write, and is announced to all streams of the user.
 */
export class Inbox {
  readonly #store: Store;
  readonly #states: ReadStateService;
  readonly #clock: Clock;
  readonly #counter: UnreadCounter;

  constructor(store: Store, states: ReadStateService, bus: Bus, clock: Clock) {
    this.#store = store;
    this.#states = states;
    this.#clock = clock;
    this.#counter = new UnreadCounter(store, bus, clock);
  }

  /** Grows whenever messages may have been recalled, so that what was read of the store before is out of date. */
  get recalls(): number {
    return this.#counter.recalls;
  }

  /** Stops listening to the bus. */
  close(): void {
    this.#counter.close();
  }

  /**
   * Counts the totals, after adding the rooms that the token names to the inbox. The count goes by the last known read state
   * while the stored one is loaded, and is repeated if the two differ: if nothing has changed, the store gets one message.
   * `before` is called with the feeds before each count.
   */
  async totals(user: UserIdentity, before?: BeforeCount): Promise<Totals> {
    const { tenant, subject } = user;
    const loading = this.#states.load(user);
    const last = this.#counter.lastInbox(tenant, subject);
    const counting = last && this.#count(user, last, before);
    // Its failure matters only if its result is used.
    counting?.catch(() => {});
    const inbox = await loading;
    if (!counting || !isSameInbox(last, inbox)) return this.#count(user, inbox, before);
    return { ...(await counting), state: inbox.state };
  }

  /** Counts the totals of the inbox as it is. `before` is called with its feeds before the count. */
  async recount(user: UserIdentity, before?: BeforeCount): Promise<Totals> {
    return this.#count(user, await this.#states.read(user), before);
  }

  /**
   * Serves MarkRead: marks messages as read, or as unread again, and returns how many it changed and the new totals. Throws
   * POSITION_INVALID, POSITION_IN_FUTURE, and CONFLICT when other devices keep changing the state.
   */
  async mark(user: UserIdentity, request: MarkReadRequest): Promise<{ changed: number; unread: UnreadTotals }> {
    const everything = request.target.case === "all" && request.categories.length === 0;
    const { feeds } = await this.#states.load(user);
    const limitOf = await this.#limits([...feeds, activityFeed(user.tenant)], request.upTo);
    return this.#change(user, feeds, (state) =>
      everything
        ? this.#markAll({ state, feeds }, request, limitOf)
        : this.#markSome({ state, feeds }, request, limitOf),
    );
  }

  /** Serves DeleteMessages: deletes messages for this user alone, and returns how many and the new totals. Throws CONFLICT. */
  async delete(user: UserIdentity, request: DeleteMessagesRequest): Promise<{ changed: number; unread: UnreadTotals }> {
    const { feeds } = await this.#states.load(user);
    return this.#change(user, feeds, async (state) => {
      const targets = request.ids
        ? await this.#deletable({ state, feeds }, request)
        : await this.#deletableByFilter({ state, feeds }, request);
      for (const [feed, seqs] of targets.seqs) state.deleted(feed).addAll(seqs);
      return { changed: targets.count, notice: { deletedIds: targets.ids } };
    });
  }

  async #change(
    user: UserIdentity,
    feeds: readonly NamedFeed[],
    apply: (state: ReadState) => Promise<Change>,
  ): Promise<{ changed: number; unread: UnreadTotals }> {
    const changed = await this.#states.change(user.tenant, user.subject, async (state) => {
      const change = await apply(state);
      if (change.changed > 0) await this.#compact({ state, feeds });
      return change;
    });
    // Not `totals`: the last known read state is the one before the mark.
    return { changed, unread: (await this.#count(user, await this.#states.load(user))).unread };
  }

  /** Compacts the sets of each feed below its tail. */
  async #compact({ state, feeds }: UserState): Promise<void> {
    const bounds = await this.#store.bounds(feeds.map(({ key }) => key));
    feeds.forEach(({ name }, index) => {
      state.compact(name, (bounds[index]?.tail ?? 1) - 1);
    });
  }

  /** Checks the positions of a request. Without any, it has no limit; with some, it changes nothing in feeds that they do not name. */
  async #limits(feeds: readonly NamedFeed[], upTo: readonly Position[]): Promise<SeqLimit> {
    if (upTo.length === 0) return () => unbounded;
    const bounds = await this.#store.bounds(feeds.map(({ key }) => key));
    const limits = new Map<string, number>();
    upTo.forEach(({ feed, epoch, seq }, index) => {
      const field = `up_to[${index}]`;
      const feedBounds = bounds[feeds.findIndex(({ name }) => name === feed)];
      if (!feedBounds || limits.has(feed)) {
        throw fail("POSITION_INVALID", "give one position per feed that the caller follows", {
          field: `${field}.feed`,
        });
      }
      // A position of another epoch says nothing about the feed as it is now.
      const current = epoch === 0 || epoch === feedBounds.epoch;
      if (current && Number(seq) > feedBounds.seq) {
        throw fail("POSITION_IN_FUTURE", `the feed ${feed} is only at ${feedBounds.seq}`, {
          field,
          metadata: { head: String(feedBounds.seq) },
        });
      }
      limits.set(feed, current ? Number(seq) : 0);
    });
    return (feed) => limits.get(feed) ?? 0;
  }

  async #markAll({ state, feeds }: UserState, { unread, upTo }: MarkReadRequest, limitOf: SeqLimit) {
    const limits = feeds.map(({ name }) => limitOf(name));
    const ranges = feeds.map(({ name }, i) =>
      unread ? state.readRanges(name, limits[i]) : state.unreadRanges(name, limits[i]),
    );
    const { byCategory, bounds } = await countByGroups(
      this.#store,
      feeds.map(({ key }, i) => ({ feed: key, ranges: ranges[i] as SeqRanges })),
      this.#clock.now(),
    );
    feeds.forEach(({ name }, i) => {
      const last = Math.min(limits[i] as number, bounds[i]?.seq ?? 0);
      if (unread) state.read(name).remove(1, last);
      else state.read(name).add(1, last);
    });
    return { changed: sum(byCategory.values()), notice: { all: !unread && upTo.length === 0 } };
  }

  async #markSome(userState: UserState, request: MarkReadRequest, limitOf: SeqLimit) {
    const { state } = userState;
    const { target, unread } = request;
    const find = target.case === "ids" ? this.#markable : this.#markableByFilter;
    const { seqs, ids, count } = await find.call(this, userState, request, limitOf);
    for (const [feed, each] of seqs) {
      if (unread) state.read(feed).removeAll(each);
      else state.read(feed).addAll(each);
    }
    return { changed: count, notice: unread ? { unreadIds: ids } : { readIds: ids } };
  }

  /** Finds the messages of the requested ids that the request changes. */
  async #markable(userState: UserState, request: MarkReadRequest, limitOf: SeqLimit): Promise<Targets> {
    const { state } = userState;
    const { target, categories, unread } = request;
    const ids = target.case === "ids" ? target.value.messageIds : [];
    const found = await this.#find(userState, ids);
    const now = this.#clock.now();
    return toTargets(
      found.filter(
        ({ feed, seq, kind, category, expireTime }) =>
          kind === notificationKind &&
          expireTime > now &&
          seq <= limitOf(feed) &&
          (categories.length === 0 || categories.includes(category)) &&
          state.read(feed).has(seq) === unread,
      ),
    );
  }

  /** Finds all messages, or the oldest N, of some categories that the request changes. */
  async #markableByFilter({ state, feeds }: UserState, request: MarkReadRequest, limitOf: SeqLimit): Promise<Targets> {
    const { target, categories, unread } = request;
    const selections = await this.#selections(feeds, ({ name }) => {
      const ranges = unread ? state.readRanges(name, limitOf(name)) : state.unreadRanges(name, limitOf(name));
      return { ranges, kinds: [notificationKind], categories };
    });
    return target.case === "oldest" ? this.#selectOldest(selections, target.value) : this.#selectAll(selections);
  }

  async #deletable(userState: UserState, { ids, category, expiredOnly }: DeleteMessagesRequest): Promise<Targets> {
    const found = await this.#find(userState, ids?.messageIds ?? []);
    const now = this.#clock.now();
    return toTargets(
      found.filter(
        (message) => (category === "" || message.category === category) && expiredOnly === message.expireTime <= now,
      ),
    );
  }

  async #deletableByFilter(
    { state, feeds }: UserState,
    { category, expiredOnly }: DeleteMessagesRequest,
  ): Promise<Targets> {
    const selections = await this.#selections(feeds, ({ name }) => ({
      ranges: state.visibleRanges(name),
      categories: category === "" ? [] : [category],
      expired: expiredOnly,
    }));
    return this.#selectAll(selections);
  }

  /** Finds messages of the user's inbox; a deleted message is as missing as a foreign one. */
  async #find({ state, feeds }: UserState, ids: readonly string[]) {
    const locations = await this.#store.find(
      feeds.map(({ key }) => key),
      [...new Set(ids)],
    );
    return locations
      .map((location) => ({ ...location, feed: feeds.find(({ key }) => key.name === location.feed.name)?.name ?? "" }))
      .filter(({ feed, seq }) => !state.deleted(feed).has(seq));
  }

  /** Makes a selection for each feed, oldest first, and finds the bounds that it has to be split by. */
  async #selections(
    feeds: readonly NamedFeed[],
    refine: (feed: NamedFeed) => Partial<Selection> & { ranges: SeqRanges },
  ): Promise<readonly FeedSelection[]> {
    const bounds = await this.#store.bounds(feeds.map(({ key }) => key));
    return feeds.map((feed, index) => {
      const refined = refine(feed);
      const selection = { ...selectAll(feed, refined.ranges, this.#clock.now()), ...refined, order: "oldest" } as const;
      return { feed: feed.name, selection, bounds: bounds[index] as FeedBounds };
    });
  }

  /** Selects everything, one slice of one feed after the other. */
  async #selectAll(selections: readonly FeedSelection[]): Promise<Targets> {
    const targets = new Targets(maxNamedIds);
    for (const { feed, selection, bounds } of selections) {
      for (const ranges of slicesOf(selection.ranges, bounds)) {
        const entries = await this.#store.select({ ...selection, ranges });
        for (const { seq, id } of entries) targets.add({ feed, seq, id });
      }
    }
    return targets;
  }

  /** Selects the oldest messages of all feeds together, at most `limit`. */
  async #selectOldest(selections: readonly FeedSelection[], limit: number): Promise<Targets> {
    let oldest: Published[] = [];
    for (let first = 0; first < selections.length; first += feedsTogether) {
      const group = selections.slice(first, first + feedsTogether);
      const found = await Promise.all(group.map((each) => this.#selectOldestOf(each, limit)));
      oldest = [...oldest, ...found.flat()].sort(byPublishTime).slice(0, limit);
    }
    return toTargets(oldest);
  }

  async #selectOldestOf({ feed, selection, bounds }: FeedSelection, limit: number): Promise<Published[]> {
    const found: Published[] = [];
    for (const ranges of slicesOf(selection.ranges, bounds)) {
      const entries = await this.#store.select({ ...selection, ranges, limit: limit - found.length });
      for (const { seq, id, publishTime } of entries) found.push({ feed, seq, id, publishTime });
      if (found.length >= limit) break;
    }
    return found;
  }

  async #count(user: UserIdentity, inbox: UserState, before: BeforeCount = () => {}): Promise<Totals> {
    const { state, feeds } = inbox;
    before(feeds);
    const { byCategory, bounds, nextExpiry, oldest } = await this.#counter.count(user.tenant, user.subject, inbox);
    const unread = create(UnreadTotalsSchema, {
      total: sum(byCategory.values()),
      byCategory: Object.fromEntries(byCategory),
      version: String(state.version),
    });
    return { unread, feeds, bounds, nextExpiry, oldest, state };
  }
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}

function toTargets(found: readonly Target[]): Targets {
  const targets = new Targets(maxNamedIds);
  for (const target of found) targets.add(target);
  return targets;
}

function byPublishTime(a: Published, b: Published): number {
  return a.publishTime - b.publishTime || (a.id < b.id ? -1 : 1);
}
