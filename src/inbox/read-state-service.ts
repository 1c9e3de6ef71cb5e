import { ConnectError } from "@connectrpc/connect";
import type { UserIdentity } from "../auth/identity.ts";
import { fail, reasonOf } from "../errors.ts";
import { everyoneFeed, inboxFeeds, type NamedFeed, tenantFeed } from "../feeds/feed.ts";
import type { Bus } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import { type Store, type StoredReadState, unbounded } from "../ports/store.ts";
import type { RoomAccess } from "../rooms/access.ts";
import { namedRooms, roomFeed } from "../rooms/grants.ts";
import { dayMs } from "../util/durations.ts";
import { tenantKey } from "../util/keys.ts";
import { ReadState } from "./read-state.ts";
import { selectAll } from "./selection.ts";
import { UnconfirmedSaves } from "./unconfirmed-saves.ts";

/** What a change of a read state tells the user's streams. */
export interface ChangeNotice {
  readonly readIds: readonly string[];
  readonly unreadIds: readonly string[];
  readonly deletedIds: readonly string[];
  readonly all: boolean;
}

/** What one attempt to change a read state came to. */
export interface Change {
  /** How many messages changed; with 0 nothing is saved or announced. */
  readonly changed: number;
  readonly notice: Partial<ChangeNotice>;
}

/** A user's read state, and the feeds of the user's inbox that it is about. */
export interface UserState {
  readonly state: ReadState;
  readonly feeds: readonly NamedFeed[];
}

/** Rooms whose notifications one inbox holds at most. */
const maxRooms = 256;
/** Names beyond this are not announced: whoever shows a list lists again. */
const maxAnnounced = 1000;
/** Attempts to save a read state that other devices change at the same time. */
const maxAttempts = 20;
const nothingChanged: ChangeNotice = { readIds: [], unreadIds: [], deletedIds: [], all: false };

/** Loads, changes and saves read states: each change is one write, announced to all streams of its user. */
export class ReadStateService {
  readonly #store: Store;
  readonly #bus: Bus;
  readonly #access: RoomAccess;
  readonly #clock: Clock;
  readonly #newcomerMs: number;
  readonly #unsure: UnconfirmedSaves;
  /** By user, the last change under way; rejects when the store did not answer it. */
  readonly #changing = new Map<string, Promise<unknown>>();

  /** `newcomerDays`: how old a message may be to be unread for a user who meets its feed for the first time. */
  constructor(store: Store, bus: Bus, access: RoomAccess, clock: Clock, newcomerDays: number) {
    this.#store = store;
    this.#bus = bus;
    this.#access = access;
    this.#clock = clock;
    this.#newcomerMs = newcomerDays * dayMs;
    this.#unsure = new UnconfirmedSaves(store, bus, clock);
  }

  /** Asks no more what became of saves that were not answered. */
  close(): void {
    this.#unsure.close();
  }

  /** The user's read state, with the rooms that the token names in the inbox. */
  async load(user: UserIdentity): Promise<UserState> {
    const { tenant, subject } = user;
    const named = namedRooms(user.rooms, user);
    const mine = await this.read(user);
    if (named.every((room) => mine.state.holds(roomFeed(tenant, room).name))) return mine;
    await this.enroll(tenant, subject, named);
    return this.read(user);
  }

  /** The user's read state as it is. */
  async read(user: UserIdentity): Promise<UserState> {
    const state = await this.#read(user.tenant, user.subject);
    return { state, feeds: [...inboxFeeds(user), ...(await this.#roomFeeds(user, state))] };
  }

  /**
   * Changes the state until it is saved against the one that the change was made for. Throws CONFLICT, and
   * STORE_UNAVAILABLE when the store did not answer, be it a change that this one waited for.
   */
  async change(tenant: string, user: string, apply: (state: ReadState) => Promise<Change>): Promise<number> {
    // One after the other, so that only those of other nodes can come between: 30 messages that a user sends at once
    // are 30 changes.
    const key = tenantKey(tenant, user);
    const before = this.#changing.get(key) ?? Promise.resolve();
    const changing = before.then(() => this.#change(tenant, user, apply));
    // Who waits behind a store that is away is told with the first one: each would wait as long again.
    const done = changing.then(
      () => {},
      (error: unknown) => {
        if (error instanceof ConnectError && reasonOf(error) === "STORE_UNAVAILABLE") throw error;
      },
    );
    done.catch(() => {});
    this.#changing.set(key, done);
    try {
      return await changing;
    } finally {
      if (this.#changing.get(key) === done) this.#changing.delete(key);
    }
  }

  async #change(tenant: string, user: string, apply: (state: ReadState) => Promise<Change>): Promise<number> {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const state = await this.#read(tenant, user);
      const { changed, notice } = await apply(state);
      if (changed === 0) return 0;
      if (!(await this.#save(tenant, user, state.encode()))) continue;
      this.#bus.publish([{ type: "read", tenant, user, ...nothingChanged, ...named(notice) }]);
      return changed;
    }
    throw fail("CONFLICT", "other devices keep changing the read state; repeat the request", { retryAfterMs: 100 });
  }

  async #save(tenant: string, user: string, state: StoredReadState): Promise<boolean> {
    try {
      return await this.#store.saveReadState(tenant, user, state);
    } catch (error) {
      this.#unsure.add(tenant, user, state.version);
      throw error;
    }
  }

  /** Puts the notifications of rooms into the user's inbox; answers the rooms for which there is no place. */
  async enroll(tenant: string, user: string, rooms: readonly string[]): Promise<readonly string[]> {
    let refused: readonly string[] = [];
    await this.change(tenant, user, async (state) => {
      const taken = await this.#takeIn(tenant, state, rooms);
      refused = rooms.filter((room) => !state.holds(roomFeed(tenant, room).name));
      return { changed: taken, notice: {} };
    });
    return refused;
  }

  /** What users say themselves is not unread for them. */
  async markOwn(user: UserIdentity, room: string, seq: number, id: string): Promise<void> {
    const feed = roomFeed(user.tenant, room).name;
    await this.change(user.tenant, user.subject, async (state) => {
      // Speaking may be the first contact with a room that is the user's by name.
      if (namedRooms(user.rooms, user).includes(room)) await this.#takeIn(user.tenant, state, [room]);
      // A publish that is repeated comes here again.
      if (!state.holds(feed) || state.read(feed).has(seq)) return { changed: 0, notice: {} };
      state.read(feed).add(seq);
      return { changed: 1, notice: { readIds: [id] } };
    });
  }

  /** On first contact what was broadcast long before counts as read, for good. */
  async #read(tenant: string, user: string): Promise<ReadState> {
    const state = ReadState.decode(await this.#store.readState(tenant, user));
    if (state.version > 0) return state;
    for (const feed of [tenantFeed(tenant), everyoneFeed]) await this.#passOld(state, feed);
    // When another device was faster, its state is as good.
    await this.#store.saveReadState(tenant, user, state.encode());
    return ReadState.decode(await this.#store.readState(tenant, user));
  }

  /** Takes rooms into the inbox, as many as there are places for; answers how many. */
  async #takeIn(tenant: string, state: ReadState, rooms: readonly string[]): Promise<number> {
    const fresh = rooms.filter((room) => !state.holds(roomFeed(tenant, room).name));
    const places = fresh.length === 0 ? 0 : await this.#makePlaces(tenant, state, rooms, fresh.length);
    await Promise.all(fresh.slice(0, places).map((room) => this.#passOld(state, roomFeed(tenant, room))));
    return places;
  }

  /** The feed is met for the first time: what is older than a newcomer cares for is read. */
  async #passOld(state: ReadState, feed: NamedFeed): Promise<void> {
    // Its place among the feeds is that of the question, not of the answer.
    const read = state.read(feed.name);
    const [last] = await this.#store.select({
      ...selectAll(feed, [[1, unbounded]], this.#clock.now()),
      endTime: this.#clock.now() - this.#newcomerMs,
      limit: 1,
    });
    read.add(1, last?.seq ?? 0);
  }

  /**
   * Sees to places for so many more rooms, and answers how many there are: of a full inbox, the rooms go that have been
   * there longest and have nothing unread.
   */
  async #makePlaces(tenant: string, state: ReadState, wanted: readonly string[], count: number): Promise<number> {
    let free = maxRooms - state.rooms.length;
    if (free >= count) return count;
    const others = state.rooms.filter((room) => !wanted.includes(room)).map((room) => roomFeed(tenant, room));
    const unreadIn = others.map(({ key, name }) => ({ feed: key, ranges: state.unreadRanges(name) }));
    const { oldest } = await this.#store.countNotifications(unreadIn, this.#clock.now());
    const idle = others.filter((_, index) => oldest[index] === Number.POSITIVE_INFINITY);
    for (const { name } of idle.slice(0, count - free)) {
      state.drop(name);
      free++;
    }
    return free;
  }

  /** The rooms that the user may still enter. */
  async #roomFeeds(user: UserIdentity, state: ReadState): Promise<readonly NamedFeed[]> {
    const kept = await this.#access.kept(user, state.rooms);
    return kept.map((room) => roomFeed(user.tenant, room));
  }
}

function named(notice: Partial<ChangeNotice>): Partial<ChangeNotice> {
  const { readIds = [], unreadIds = [], deletedIds = [] } = notice;
  return readIds.length + unreadIds.length + deletedIds.length > maxAnnounced ? {} : notice;
}
