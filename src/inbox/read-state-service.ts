import type { UserIdentity } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import { everyoneFeed, inboxFeeds, type NamedFeed, tenantFeed } from "../feeds/feed.ts";
import type { Bus } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import { type Store, type StoredReadState, unbounded } from "../ports/store.ts";
import type { RoomAccess } from "../rooms/access.ts";
import { namedRooms, roomFeed } from "../rooms/grants.ts";
import { dayMs } from "../util/durations.ts";
import { tenantKey } from "../util/keys.ts";
import { countNotifications } from "./count-slices.ts";
import { FirstContacts, isUnavailable } from "./first-contacts.ts";
import { type ChangedMessages, readNotice } from "./read-change.ts";
import { ReadState } from "./read-state.ts";
import { type Enroller, makeRoom, maxRooms, maxStrangers } from "./room-slots.ts";
import { selectAll } from "./selection.ts";
import type { SeqSet } from "./seq-set.ts";
import { UnconfirmedSaves } from "./unconfirmed-saves.ts";

/** The result of one attempt to change a read state. */
export interface Change {
  /** The number of messages changed; after 0 nothing is saved or announced. */
  readonly changed: number;
  /** The messages that the announcement names. */
  readonly notice: Partial<ChangedMessages>;
}

/** A user's read state, and the feeds of the user's inbox. */
export interface UserState {
  readonly state: ReadState;
  readonly feeds: readonly NamedFeed[];
}

/** Attempts to save a read state that other nodes change at the same time. */
const maxAttempts = 20;

/** Loads, changes and saves read states. Each change is one write, and is announced to all streams of its user. */
export class ReadStateService {
  readonly #store: Store;
  readonly #bus: Bus;
  readonly #access: RoomAccess;
  readonly #clock: Clock;
  readonly #newcomerMs: number;
  readonly #unconfirmed: UnconfirmedSaves;
  readonly #firstContacts: FirstContacts;
  /** By user, the last queued change. It rejects only when the store did not answer. */
  readonly #lastChanges = new Map<string, Promise<void>>();

  /** When a user meets a feed for the first time, messages older than `newcomerDays` count as read. */
  constructor(store: Store, bus: Bus, access: RoomAccess, clock: Clock, newcomerDays: number) {
    this.#store = store;
    this.#bus = bus;
    this.#access = access;
    this.#clock = clock;
    this.#newcomerMs = newcomerDays * dayMs;
    this.#unconfirmed = new UnconfirmedSaves(store, bus, clock);
    this.#firstContacts = new FirstContacts(store, clock);
  }

  /** Stops checking unconfirmed saves and completing first contacts. */
  close(): void {
    this.#unconfirmed.close();
    this.#firstContacts.close();
  }

  /** Returns the user's read state, after adding the rooms that the token names to the inbox. */
  async load(user: UserIdentity): Promise<UserState> {
    const { tenant, subject } = user;
    const named = namedRooms(user.rooms, user);
    const loaded = await this.read(user);
    if (named.every((room) => loaded.state.hasFeed(roomFeed(tenant, room).name))) return loaded;
    try {
      await this.enroll(tenant, subject, named);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      // The store may still answer reads, as on a full disk: the rooms are in what is returned, and are added by a later load.
      await this.#addRooms(tenant, loaded.state, named);
      return this.#withFeeds(user, loaded.state);
    }
    return this.read(user);
  }

  /** Returns the user's read state as it is. */
  async read(user: UserIdentity): Promise<UserState> {
    const { tenant, subject } = user;
    const state = await this.#load(tenant, subject);
    return this.#withFeeds(user, state.version > 0 ? state : await this.#firstContacts.begin(tenant, subject, state));
  }

  /** Returns the seqs of a feed that the user has deleted. It only reads: the store does not meet a new user by it. */
  async deleted({ tenant, subject }: UserIdentity, feed: string): Promise<SeqSet> {
    return ReadState.decode(await this.#store.readState(tenant, subject)).deleted(feed);
  }

  async #withFeeds(user: UserIdentity, state: ReadState): Promise<UserState> {
    return { state, feeds: [...inboxFeeds(user), ...(await this.#roomFeeds(user, state))] };
  }

  /**
   * Changes a user's read state, and returns the number of messages changed. `apply` runs again on the newer state when
   * another node saves first. Throws CONFLICT when that happens too often, and STORE_UNAVAILABLE when the store does not
   * answer this change or the one before it.
   */
  async change(tenant: string, user: string, apply: (state: ReadState) => Promise<Change>): Promise<number> {
    // One change of a user at a time, so that only changes on other nodes conflict: a user who sends 30 messages at once
    // makes 30 changes.
    const key = tenantKey(tenant, user);
    const previous = this.#lastChanges.get(key) ?? Promise.resolve();
    const changing = previous.then(() => this.#change(tenant, user, apply));
    // While the store is away, all queued changes fail with the first one; otherwise each would wait for a timeout of its
    // own. Any other failure concerns one change only.
    const done = changing.then(
      () => {},
      (error: unknown) => {
        if (isUnavailable(error)) throw error;
      },
    );
    done.catch(() => {});
    this.#lastChanges.set(key, done);
    try {
      return await changing;
    } finally {
      if (this.#lastChanges.get(key) === done) this.#lastChanges.delete(key);
    }
  }

  async #change(tenant: string, user: string, apply: (state: ReadState) => Promise<Change>): Promise<number> {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const state = await this.#load(tenant, user);
      const { changed, notice } = await apply(state);
      if (changed === 0) return 0;
      if (!(await this.#save(tenant, user, state.encode()))) continue;
      this.#bus.publish([readNotice(tenant, user, notice)]);
      return changed;
    }
    throw fail("CONFLICT", "other devices keep changing the read state; repeat the request", { retryAfterMs: 100 });
  }

  async #save(tenant: string, user: string, state: StoredReadState): Promise<boolean> {
    try {
      return await this.#store.saveReadState(tenant, user, state);
    } catch (error) {
      this.#unconfirmed.add(tenant, user, state.version);
      throw error;
    }
  }

  /** Adds rooms to the user's inbox, and returns the ones that it has no capacity for. */
  async enroll(
    tenant: string,
    user: string,
    rooms: readonly string[],
    by: Enroller = "owner",
  ): Promise<readonly string[]> {
    let refused: readonly string[] = [];
    await this.change(tenant, user, async (state) => {
      const added = await this.#addRooms(tenant, state, rooms, by);
      refused = rooms.filter((room) => !state.hasFeed(roomFeed(tenant, room).name));
      return { changed: added, notice: {} };
    });
    return refused;
  }

  /** Marks a user's own notification in a room as read, if the room is in the user's inbox. */
  async markOwn(user: UserIdentity, room: string, seq: number, id: string): Promise<void> {
    const feed = roomFeed(user.tenant, room).name;
    await this.change(user.tenant, user.subject, async (state) => {
      // A user may publish to a room that the token names before anything else has added it to the inbox.
      if (namedRooms(user.rooms, user).includes(room)) await this.#addRooms(user.tenant, state, [room]);
      // A repeated publish finds its message marked.
      if (!state.hasFeed(feed) || state.read(feed).has(seq)) return { changed: 0, notice: {} };
      state.read(feed).add(seq);
      return { changed: 1, notice: { readIds: [id] } };
    });
  }

  /** Loads a read state; a new user gets one in which old broadcasts are read. It has version 0 until it is saved. */
  async #load(tenant: string, user: string): Promise<ReadState> {
    const stored = await this.#store.readState(tenant, user);
    if (stored.version > 0) return ReadState.decode(stored);
    const unsaved = this.#firstContacts.unsavedState(tenant, user);
    if (unsaved) return unsaved;
    const state = ReadState.decode(stored);
    await Promise.all([tenantFeed(tenant), everyoneFeed].map((feed) => this.#beginFeed(state, feed)));
    return state;
  }

  /**
   * Adds the missing ones of some rooms to a state as far as there is capacity, and returns how many it added, or made the
   * user's own.
   */
  async #addRooms(tenant: string, state: ReadState, rooms: readonly string[], by: Enroller = "owner"): Promise<number> {
    const feeds = rooms.map((room) => roomFeed(tenant, room));
    const missing = feeds.filter(({ name }) => !state.hasFeed(name));
    const answered = by === "stranger" ? [] : feeds.filter(({ name }) => state.setAnswered(name));
    const capacity = missing.length === 0 ? 0 : await this.#makeCapacity(tenant, state, rooms, missing.length, by);
    const added = missing.slice(0, capacity);
    await Promise.all(added.map((feed) => this.#beginFeed(state, feed)));
    if (by === "stranger") for (const { name } of added) state.setUnanswered(name);
    return added.length + answered.length;
  }

  /** Adds a feed that the user meets for the first time: its messages older than `newcomerDays` are read, for good. */
  async #beginFeed(state: ReadState, feed: NamedFeed): Promise<void> {
    // Create the entry before awaiting, so that feeds keep request order.
    const read = state.read(feed.name);
    const [last] = await this.#store.select({
      ...selectAll(feed, [[1, unbounded]], this.#clock.now()),
      endTime: this.#clock.now() - this.#newcomerMs,
      limit: 1,
    });
    read.add(1, last?.seq ?? 0);
  }

  /** Makes capacity for up to `count` more rooms, and returns how many fit. None of the `requested` rooms gives way. */
  async #makeCapacity(
    tenant: string,
    state: ReadState,
    requested: readonly string[],
    count: number,
    by: Enroller,
  ): Promise<number> {
    const { rooms } = state;
    const excess = rooms.length + count - maxRooms;
    if (excess <= 0) return count;
    const others = rooms.filter((room) => !requested.includes(room)).map((room) => roomFeed(tenant, room));
    const strangers = others.filter(({ name }) => state.isUnanswered(name));
    // Strangers may write often: do not count the user's own rooms, which may be large, where none of them gives way.
    const candidates = strangers.length >= maxStrangers + excess ? strangers : others;
    const unreadIn = candidates.map(({ key, name }) => ({ feed: key, ranges: state.unreadRanges(name) }));
    const { oldest } = await countNotifications(this.#store, unreadIn, this.#clock.now());
    const slots = candidates.map(({ name }, index) => ({
      feed: name,
      isUnanswered: state.isUnanswered(name),
      hasUnread: oldest[index] !== Number.POSITIVE_INFINITY,
    }));
    const [gone, capacity] = makeRoom(slots, rooms.length, count, by);
    for (const feed of gone) state.removeFeed(feed);
    return capacity;
  }

  /** Returns the feeds of the inbox's rooms that the user may still enter. */
  async #roomFeeds(user: UserIdentity, state: ReadState): Promise<readonly NamedFeed[]> {
    const kept = await this.#access.kept(user, state.rooms);
    return kept.map((room) => roomFeed(user.tenant, room));
  }
}
