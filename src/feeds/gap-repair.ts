/** What the bus has lost, asked of the Store: heads of feeds, read states, blocks. */
import type { Bus, LostNotice } from "../ports/bus.ts";
import type { Clock, Random, Timer } from "../ports/clock.ts";
import type { FeedBounds, FeedKey, Store } from "../ports/store.ts";
import { feedId, userFeed } from "./feed.ts";
import type { Hub, JoinedUser } from "./hub.ts";

/** Feeds that are asked about at once. */
const feedsTogether = 1000;
/** Users that are asked about at once. */
const usersTogether = 100;
/** Between two questions, so that healing 100,000 feeds leaves the store to others. */
const pauseMs = 20;
/** A store that failed is not well at once. */
const retryMs = 1000;
/** All nodes lose the same notice at the same time, and must not all ask at the same time. */
const staggerMs = 250;

/**
 * Answers each LostNotice. Messages: followers of a feed whose head is beyond what they have read on. Read states and
 * blocks: streams are told the version in the Store, and check. Recalls leave no trace in the Store, so where notices are
 * missing for certain, streams tell their readers to list again. Live events are not healed: they are nowhere else.
 */
export class GapRepair {
  readonly #hub: Hub;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #feeds: Suspects<FeedKey>;
  readonly #users: Suspects<JoinedUser>;
  /** Feeds in which messages may have been recalled unheard. */
  readonly #recalls = new Set<string>();
  readonly #staggered = new Set<Timer>();
  readonly #unsubscribe: () => void;
  #behind = 0;

  constructor(bus: Bus, hub: Hub, store: Store, clock: Clock, random: Random) {
    this.#hub = hub;
    this.#store = store;
    this.#clock = clock;
    this.#random = random;
    this.#feeds = new Suspects(feedsTogether, clock, (batch) => this.#askFeeds(batch));
    this.#users = new Suspects(usersTogether, clock, (batch) => this.#askUsers(batch));
    this.#unsubscribe = bus.subscribe((heard) => {
      if (heard.type === "lost") this.#lost(heard);
    });
  }

  /** Feeds so far whose lost messages were found in the Store. */
  get behind(): number {
    return this.#behind;
  }

  /** Hears and asks nothing more. */
  close(): void {
    this.#unsubscribe();
    for (const timer of this.#staggered) timer.cancel();
    this.#feeds.close();
    this.#users.close();
  }

  #lost({ touches, certain }: LostNotice): void {
    const feeds = this.#hub.feeds.filter(touches);
    for (const feed of feeds) this.#hub.doubt(feed);
    const timer = this.#clock.after(this.#random.fraction() * staggerMs, () => {
      this.#staggered.delete(timer);
      for (const feed of feeds) {
        if (certain) this.#recalls.add(feedId(feed));
        this.#feeds.add(feedId(feed), feed);
      }
      for (const joined of this.#hub.users) {
        const { key } = userFeed(joined.tenant, joined.user);
        if (touches(key)) this.#users.add(feedId(key), joined);
      }
    });
    this.#staggered.add(timer);
  }

  async #askFeeds(feeds: readonly FeedKey[]): Promise<void> {
    const heads = await this.#store.bounds(feeds);
    feeds.forEach((feed, index) => {
      if (this.#hub.reach(feed, heads[index] as FeedBounds)) this.#behind++;
      if (this.#recalls.delete(feedId(feed))) this.#hub.recallUnknown(feed);
    });
  }

  async #askUsers(users: readonly JoinedUser[]): Promise<void> {
    const states = await Promise.all(users.map(({ tenant, user }) => this.#store.readState(tenant, user)));
    users.forEach((user, index) => {
      this.#hub.recheck(user, states[index]?.version ?? 0);
    });
  }
}

/** What is still to be asked about, each once: one batch after the other, with pauses, until nothing is left. */
class Suspects<T> {
  readonly #size: number;
  readonly #clock: Clock;
  readonly #ask: (batch: readonly T[]) => Promise<void>;
  readonly #waiting = new Map<string, T>();
  #timer: Timer | undefined;
  #asking = false;
  #closed = false;

  constructor(size: number, clock: Clock, ask: (batch: readonly T[]) => Promise<void>) {
    this.#size = size;
    this.#clock = clock;
    this.#ask = ask;
  }

  add(id: string, suspect: T): void {
    this.#waiting.set(id, suspect);
    if (!this.#asking && !this.#timer && !this.#closed) void this.#next();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#waiting.clear();
  }

  async #next(): Promise<void> {
    this.#asking = true;
    this.#timer = undefined;
    // What is added in this turn goes along.
    await undefined;
    const batch = new Map<string, T>();
    for (const [id, suspect] of this.#waiting) {
      if (batch.size === this.#size) break;
      batch.set(id, suspect);
      this.#waiting.delete(id);
    }
    const answered = await this.#ask([...batch.values()]).then(
      () => true,
      () => false,
    );
    this.#asking = false;
    if (this.#closed) return;
    if (!answered) for (const [id, suspect] of batch) this.#waiting.set(id, suspect);
    if (this.#waiting.size > 0) this.#timer = this.#clock.after(answered ? pauseMs : retryMs, () => void this.#next());
  }
}
