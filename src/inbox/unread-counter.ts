import type { Bus } from "../ports/bus.ts";
import { type Clock, elapsedOn } from "../ports/clock.ts";
import {
  type FeedBounds,
  type FeedKey,
  type NotificationCount,
  type SeqRanges,
  type Store,
  unbounded,
} from "../ports/store.ts";
import { joinKey, tenantKey } from "../util/keys.ts";
import { LruCache } from "../util/lru.ts";
import { addCounts, otherCategories } from "./category-counts.ts";
import { countNotifications } from "./count-slices.ts";
import type { UserState } from "./read-state-service.ts";
import { SeqSet } from "./seq-set.ts";

/** The memory that counts may take, in bytes, estimated: 7,000 users without rooms. */
const maxBytes = 8 * 1024 * 1024;
/** The age up to which a count is built upon, in ms: what the bus has lost may be missing from it no longer than that. */
const maxAgeMs = 10_000;

/** Feeds that one call of the store counts. */
const feedsTogether = 32;

/** The most seqs that a later read state may differ in, for a count of the earlier one to be built upon. */
const maxChangedSeqs = 2000;

/** What a count is about. */
interface Subject {
  readonly version: number;
  /** The names of the feeds. */
  readonly feeds: string;
}

/** A count that others build upon. */
interface Known extends Subject {
  readonly inbox: UserState;
  readonly count: Promise<NotificationCount>;
  /** The memory that it takes, estimated. */
  bytes: number;
  isPending: boolean;
  /** The number of recalls that this node had heard of when all messages were counted. */
  recalls: number;
  /** When that was, in the elapsed time of the clock. */
  elapsed: number;
  /** And in ms since the Unix epoch, which decided what had expired. */
  time: number;
}

/**
 * Counts the unread notifications of users. Counting them takes time linear in their number, and every change of a read
 * state makes each stream of the user ask for new totals. So they are counted once, even if many callers ask at the same time:
 * the others wait for that count, and add the messages that came after it. For a later read state, only what was marked
 * since is counted, and subtracted or added. The result is always exact at the bounds that it names.
 *
 * A count is not built upon when something in it may have gone: a message has expired, was trimmed, or was recalled.
 */
export class UnreadCounter {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #known = new LruCache<string, Known>({ cost: maxBytes, costOf: ({ bytes }) => bytes });
  readonly #unsubscribe: () => void;
  #recalls = 0;

  constructor(store: Store, bus: Bus, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#unsubscribe = bus.subscribe(({ type }) => {
      if (type === "recall" || type === "lost") this.#recalls++;
    });
  }

  /** The number of recalls, and of losses that may have been recalls, that this node has heard of. */
  get recalls(): number {
    return this.#recalls;
  }

  /** Stops listening to the bus. */
  close(): void {
    this.#unsubscribe();
    this.#known.clear();
  }

  /**
   * Returns the inbox by which a user's messages were last counted. A count by it need not wait until the read state is loaded,
   * and is right if the stored version turns out to be the same.
   */
  lastInbox(tenant: string, user: string): UserState | undefined {
    return this.#known.get(tenantKey(tenant, user))?.inbox;
  }

  /**
   * Counts the unread notifications of a user by a read state that was just loaded, or by the last one. Rejects as the store
   * does.
   */
  async count(tenant: string, user: string, inbox: UserState): Promise<NotificationCount> {
    const { version } = inbox.state;
    const subject = { version, feeds: feedNames(inbox) };
    const key = tenantKey(tenant, user);
    for (;;) {
      const known = this.#known.get(key);
      // A first state that is not stored yet may differ each time that it is made. An older state than that of others was
      // loaded before theirs, and its caller will hear of the newer one.
      if (version === 0 || (known && known.version > version)) return this.#countAll(inbox);
      const base = known && this.#canBuildUpon(known, subject) ? known : undefined;
      if (!base?.isPending || base.version < version) return this.#begin(key, subject, inbox, base);
      await base.count;
      const added = await this.#countLater(base, inbox);
      if (added) return added;
      if (this.#known.peek(key) === base) this.#known.delete(key);
    }
  }

  /** Starts a count that all callers share until it is done: of the messages since `base`, or of all. */
  async #begin(key: string, subject: Subject, inbox: UserState, base: Known | undefined): Promise<NotificationCount> {
    const counting = Promise.withResolvers<NotificationCount>();
    const { recalls, elapsed, time } = base ?? this.#now;
    const known: Known = {
      ...subject,
      inbox,
      count: counting.promise,
      isPending: true,
      recalls,
      elapsed,
      time,
      bytes: bytesOf(subject, inbox),
    };
    this.#known.set(key, known);
    // Callers that wait for it handle its failure; there may be none.
    counting.promise.catch(() => {});
    try {
      const added = base && (await this.#countLater(base, inbox));
      if (!added) Object.assign(known, this.#now);
      const count = added ?? (await this.#countAll(inbox));
      this.#weigh(key, known, count);
      counting.resolve(count);
      known.isPending = false;
    } catch (error) {
      if (this.#known.peek(key) === known) this.#known.delete(key);
      counting.reject(error);
    }
    return counting.promise;
  }

  /** Adds the categories of a count to the memory that it takes. */
  #weigh(key: string, known: Known, { byCategory }: NotificationCount): void {
    if (byCategory.size === 0 || this.#known.peek(key) !== known) return;
    this.#known.delete(key);
    for (const category of byCategory.keys()) known.bytes += 2 * category.length + 64;
    this.#known.set(key, known);
  }

  get #now(): Pick<Known, "recalls" | "elapsed" | "time"> {
    return { recalls: this.#recalls, elapsed: elapsedOn(this.#clock), time: this.#clock.now() };
  }

  #canBuildUpon({ version, feeds, recalls, elapsed, time }: Known, subject: Subject): boolean {
    // Where the clock was set meanwhile, what had expired may be back.
    const age = Math.max(elapsedOn(this.#clock) - elapsed, Math.abs(this.#clock.now() - time));
    return version <= subject.version && feeds === subject.feeds && recalls === this.#recalls && age <= maxAgeMs;
  }

  /**
   * Updates a count of the same or an earlier read state: subtracts messages that were read since, and adds those that were
   * marked as unread or stored since. Resolves to undefined when so much was marked that counting anew is no slower, when the
   * earlier count failed, or when a message of it may be gone.
   */
  async #countLater(base: Known, inbox: UserState): Promise<NotificationCount | undefined> {
    const before = await base.count.catch(() => undefined);
    const now = this.#clock.now();
    if (!before || before.nextExpiry <= now) return undefined;
    const isChanged = inbox.state.version !== base.version;
    // Which categories are counted under the common name is not known, so nothing can be subtracted from it.
    if (isChanged && before.byCategory.has(otherCategories)) return undefined;
    const { read, unreadAgain, seqs } = isChanged ? changesBetween(base.inbox, inbox, before.bounds) : unchanged;
    if (seqs > maxChangedSeqs) return undefined;
    const since = inbox.feeds.map(({ key, name }, index) => ({
      feed: key,
      ranges: inbox.state.unreadRanges(name, unbounded, (before.bounds[index]?.seq ?? 0) + 1),
    }));
    // Ask in one event-loop tick, so that the embedded store gets one message.
    const [gone, back, after] = await Promise.all([
      read.length > 0 ? countByGroups(this.#store, read, now) : nothing,
      unreadAgain.length > 0 ? countByGroups(this.#store, unreadAgain, now) : nothing,
      countNotifications(this.#store, since, now),
    ]);
    if (gone.byCategory.has(otherCategories)) return undefined;
    const changed = replace(before, gone, back, unreadAgain);
    const hasAll = ({ tail }: FeedBounds, index: number) => tail <= (before.oldest[index] as number);
    const isWhole =
      gone.bounds.every((bounds, position) => hasAll(bounds, read[position]?.index as number)) &&
      back.bounds.every((bounds, position) => hasAll(bounds, unreadAgain[position]?.index as number)) &&
      after.bounds.every(({ epoch, seq, tail }, index) => {
        const bounds = before.bounds[index];
        return epoch === bounds?.epoch && seq >= bounds.seq && tail <= (changed.oldest[index] as number);
      });
    return isWhole && base.recalls === this.#recalls ? sum(changed, after) : undefined;
  }

  #countAll({ state, feeds }: UserState): Promise<NotificationCount> {
    const unread = feeds.map(({ key, name }) => ({ feed: key, ranges: state.unreadRanges(name) }));
    return countByGroups(this.#store, unread, this.#clock.now());
  }
}

/** The names of the feeds of an inbox. */
function feedNames({ feeds }: UserState): string {
  return joinKey(...feeds.map(({ name }) => name));
}

/** Reports whether two inboxes have the same feeds, and read states of the same version. */
export function isSameInbox(one: UserState, other: UserState): boolean {
  return one.state.version === other.state.version && feedNames(one) === feedNames(other);
}

/** The memory of a count without its categories, in bytes, estimated. */
function bytesOf({ feeds: names }: Subject, { state, feeds }: UserState): number {
  const runs = feeds.reduce((sum, { name }) => sum + state.read(name).runs + state.deleted(name).runs, 0);
  return 2 * names.length + 300 * feeds.length + 16 * runs;
}

/** Ranges of the feed with this index in an inbox. */
interface CountedRanges {
  readonly feed: FeedKey;
  readonly ranges: SeqRanges;
  readonly index: number;
}

/** The messages that were marked between two read states, in the feeds of both. */
interface Changes {
  readonly read: readonly CountedRanges[];
  readonly unreadAgain: readonly CountedRanges[];
  /** The number of seqs in both. */
  readonly seqs: number;
}

const unchanged: Changes = { read: [], unreadAgain: [], seqs: 0 };
const nothing: NotificationCount = {
  byCategory: new Map(),
  nextExpiry: Number.POSITIVE_INFINITY,
  oldest: [],
  bounds: [],
};

/** Returns the messages that were marked between two states of an inbox, within the bounds of its feeds. */
function changesBetween(one: UserState, other: UserState, bounds: readonly FeedBounds[]): Changes {
  const read: CountedRanges[] = [];
  const unreadAgain: CountedRanges[] = [];
  let seqs = 0;
  for (const [index, { key, name }] of other.feeds.entries()) {
    const earlier = SeqSet.from(one.state.unreadRanges(name).flat());
    const later = SeqSet.from(other.state.unreadRanges(name).flat());
    const { tail = 1, seq: last = 0 } = bounds[index] ?? {};
    for (const [changes, from, to] of [
      [read, earlier, later],
      [unreadAgain, later, earlier],
    ] as const) {
      const ranges = from.without(to).ranges(tail, last);
      seqs += ranges.reduce((sum, [low, high]) => sum + high - low + 1, 0);
      if (ranges.length > 0) changes.push({ feed: key, ranges, index });
    }
  }
  return { read, unreadAgain, seqs };
}

/** Subtracts one count from another and adds a third, of messages in the feeds of `ranges`. Keeps the bounds of the first. */
function replace(
  before: NotificationCount,
  gone: NotificationCount,
  back: NotificationCount,
  ranges: readonly CountedRanges[],
): NotificationCount {
  const left = new Map(before.byCategory);
  for (const [category, count] of gone.byCategory) {
    const rest = (left.get(category) ?? 0) - count;
    if (rest > 0) left.set(category, rest);
    else left.delete(category);
  }
  const byCategory = addCounts(left, back.byCategory);
  const oldest = [...before.oldest];
  for (const [position, { index }] of ranges.entries()) {
    oldest[index] = Math.min(oldest[index] as number, back.oldest[position] as number);
  }
  return { byCategory, oldest, nextExpiry: Math.min(before.nextExpiry, back.nextExpiry), bounds: before.bounds };
}

/** Adds up two counts of different messages; the second has the later bounds, and may name any number of categories. */
function sum(before: NotificationCount, after: NotificationCount): NotificationCount {
  return {
    byCategory: addCounts(before.byCategory, after.byCategory),
    nextExpiry: Math.min(before.nextExpiry, after.nextExpiry),
    oldest: before.oldest.map((seq, i) => Math.min(seq, after.oldest[i] ?? seq)),
    bounds: after.bounds,
  };
}

/**
 * Counts notifications as `Store.countNotifications` does, a few feeds at a time: an inbox with 256 full rooms would keep the
 * store from other calls for a second. Each feed is counted exactly at its own bounds. Categories are bounded as `addCounts`
 * says, those of the first feeds first: the feeds of services come before the rooms, in which users publish.
 */
export async function countByGroups(
  store: Store,
  feeds: Parameters<Store["countNotifications"]>[0],
  now: number,
): Promise<NotificationCount> {
  const first = await countNotifications(store, feeds.slice(0, feedsTogether), now);
  let count: NotificationCount = { ...first, byCategory: addCounts(new Map(), first.byCategory) };
  for (let index = feedsTogether; index < feeds.length; index += feedsTogether) {
    const next = await countNotifications(store, feeds.slice(index, index + feedsTogether), now);
    count = {
      ...sum(count, next),
      oldest: [...count.oldest, ...next.oldest],
      bounds: [...count.bounds, ...next.bounds],
    };
  }
  return count;
}
