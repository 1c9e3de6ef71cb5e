import type { Bus } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import type { FeedKey, MessageLocation, Store } from "../ports/store.ts";

/** Announces again what is stored, for whoever stored it may have died, or lost the store's answer, before it could. */
export class Announcer {
  readonly #store: Store;
  readonly #bus: Bus;
  readonly #clock: Clock;

  constructor(store: Store, bus: Bus, clock: Clock) {
    this.#store = store;
    this.#bus = bus;
    this.#clock = clock;
  }

  /** Answers where the message lies in these feeds; streams that have it take no notice. */
  async remind(feeds: readonly FeedKey[], id: string): Promise<readonly MessageLocation[]> {
    const places = await this.#store.find(feeds, [id]);
    const [first] = places;
    if (!first) return places;
    const { entries } = await this.#store.read(first.feed, first.seq - 1, first.seq, 1, this.#clock.now());
    const notices = entries.flatMap(({ body, epoch, expireTime }) =>
      places.map(({ feed, seq }) => ({ type: "entry" as const, feed, epoch, seq, id, body, expireTime })),
    );
    this.#bus.publish(notices);
    return places;
  }
}
