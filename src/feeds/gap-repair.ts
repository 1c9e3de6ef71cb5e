/** Repairs what the bus has lost by asking the Store: bounds of feeds, read states and blocks. */
import type { Bus, LostNotice } from "../ports/bus.ts";
import type { Clock, Random, Timer } from "../ports/clock.ts";
import type { FeedBounds, FeedKey, Store } from "../ports/store.ts";
import { feedId, userFeed } from "./feed.ts";
import type { Hub, JoinedUser } from "./hub.ts";

/** Feeds in one batch of questions. */
const feedBatch = 1000;
/** Users in one batch of questions. */
const userBatch = 100;
/** The pause between two batches, so that repairing 100,000 feeds leaves the store to others. */
const pauseMs = 20;
/** The pause after a batch that the store did not answer. */
const retryMs = 1000;
/** The longest delay before the first batch: all nodes lose the same notice together, and must not ask together. */
const staggerMs = 250;

/**
 * Answers each LostNotice. For messages it asks for the bounds of the feeds, and wakes the followers that are behind. For
 * read states and blocks it asks for the version of the user's read state, and streams compare. Recalls leave no trace in
 * the Store, so where notices are missing for certain, streams tell their readers to list again. Events without a `ttl`
 * are stored nowhere, and stay lost.
 */
export class GapRepair {
  readonly #hub: Hub;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #feeds: Suspects<FeedKey>;
  readonly #users: Suspects<JoinedUser>;
  /** Ids of feeds in which messages may have been recalled. */
  readonly #recalls = new Set<string>();
  readonly #staggered = new Set<Timer>();
  readonly #unsubscribe: () => void;
  #repaired = 0;

  constructor(bus: Bus, hub: Hub, store: Store, clock: Clock, random: Random) {
    this.#hub = hub;
    this.#store = store;
    this.#clock = clock;
    this.#random = random;
    this.#feeds = new Suspects(feedBatch, clock, (batch) => this.#askFeeds(batch));
    this.#users = new Suspects(userBatch, clock, (batch) => this.#askUsers(batch));
    this.#unsubscribe = bus.subscribe((heard) => {
      if (heard.type === "lost") this.#lost(heard);
    });
  }

  /** The number of times that the Store had messages of a feed whose notices were lost. */
  get repaired(): number {
    return this.#repaired;
  }

  /** Stops listening to the bus and asking the Store. */
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
    const bounds = await this.#store.bounds(feeds);
    feeds.forEach((feed, index) => {
      if (this.#hub.advance(feed, bounds[index] as FeedBounds)) this.#repaired++;
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

/** A queue of subjects to ask about, each once: one batch after the other, with pauses, until it is empty. */
class Suspects<T> {
  readonly #batchSize: number;
  readonly #clock: Clock;
  readonly #ask: (batch: readonly T[]) => Promise<void>;
  readonly #waiting = new Map<string, T>();
  #timer: Timer | undefined;
  #asking = false;
  #closed = false;

  constructor(batchSize: number, clock: Clock, ask: (batch: readonly T[]) => Promise<void>) {
    this.#batchSize = batchSize;
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
    // Wait for a microtask, so that subjects added in the same loop are in this batch.
    await undefined;
    const batch = new Map<string, T>();
    for (const [id, suspect] of this.#waiting) {
      if (batch.size === this.#batchSize) break;
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
