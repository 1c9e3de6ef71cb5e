import { feedId } from "../feeds/feed.ts";
import type { Bus, RecallNotice } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import type { FeedKey, Store } from "../ports/store.ts";

/** Messages of a batch that are taken back in one step. */
const stepSize = 1000;

/** Takes published messages back: out of every inbox, list and page. */
export class Recaller {
  readonly #store: Store;
  readonly #bus: Bus;
  readonly #clock: Clock;

  constructor(store: Store, bus: Bus, clock: Clock) {
    this.#store = store;
    this.#bus = bus;
    this.#clock = clock;
  }

  /**
   * Of one tenant; "" for what was published to everyone. Answers how many messages went. A repetition tells readers
   * again, for the first call may have ended between the store and the bus.
   */
  async recall(tenant: string, ids: readonly string[]): Promise<number> {
    const places = await this.#store.recall(tenant, [...new Set(ids)]);
    this.#bus.publish(recallNotices(places));
    return new Set(places.filter(({ again }) => !again).map(({ id }) => id)).size;
  }

  /** All of a batch, step by step; a repetition after a failure takes the rest. */
  async recallBatch(tenant: string, batchId: string): Promise<number> {
    for (let recalled = 0; ; ) {
      const { entries } = await this.#store.batch(tenant, batchId, "", stepSize, this.#clock.now());
      if (entries.length === 0) return recalled;
      const found = await this.recall(
        tenant,
        entries.map(({ id }) => id),
      );
      recalled += found;
    }
  }
}

/** One notice per feed. */
export function recallNotices(places: readonly { readonly id: string; readonly feed: FeedKey }[]): RecallNotice[] {
  const byFeed = Map.groupBy(places, ({ feed }) => feedId(feed));
  return [...byFeed.values()].map((found) => ({
    type: "recall" as const,
    feed: (found[0] as (typeof places)[number]).feed,
    ids: found.map(({ id }) => id),
  }));
}
