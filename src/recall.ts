import type { Bus } from "./bus.ts";
import type { Store } from "./store.ts";

/** Takes published messages back: out of every inbox, list and page. */
export class Recaller {
  readonly #store: Store;
  readonly #bus: Bus;

  constructor(store: Store, bus: Bus) {
    this.#store = store;
    this.#bus = bus;
  }

  /** Of one tenant; "" for what was published to everyone. Answers how many messages went. */
  async recall(tenant: string, ids: readonly string[]): Promise<number> {
    const places = await this.#store.recall(tenant, [...new Set(ids)]);
    const byFeed = Map.groupBy(places, ({ feed }) => feed.name);
    const notices = [...byFeed.values()].map((found) => ({
      type: "recall" as const,
      feed: { tenant, name: found[0]?.feed.name ?? "" },
      ids: found.map(({ id }) => id),
    }));
    this.#bus.publish(notices);
    return new Set(places.map(({ id }) => id)).size;
  }
}
