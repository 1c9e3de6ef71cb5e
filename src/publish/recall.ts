import type { Bus } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import type { Store } from "../ports/store.ts";
import { Announcer } from "./announce.ts";

/** Messages of a batch that one step recalls. */
const stepSize = 1000;

/** Recalls published messages: takes them out of every inbox, list and page. */
export class Recaller {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #announcer: Announcer;

  constructor(store: Store, bus: Bus, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#announcer = new Announcer(store, bus, clock);
  }

  /**
   * Recalls messages of one tenant, or those published to everyone when `tenant` is "", and returns how many it removed.
   * A repetition removes nothing and announces the recall again, since the first call may have ended after the store's
   * write and before the announcement.
   */
  async recall(tenant: string, ids: readonly string[]): Promise<number> {
    const recalled = await this.#store.recall(tenant, [...new Set(ids)]);
    this.#announcer.announceRecall(recalled);
    return new Set(recalled.filter(({ again }) => !again).map(({ id }) => id)).size;
  }

  /** Recalls a whole batch, step by step, and returns how many messages it removed; after a failure, repeat it for the rest. */
  async recallBatch(tenant: string, batchId: string): Promise<number> {
    for (let recalled = 0; ; ) {
      const { entries } = await this.#store.batch(tenant, batchId, "", stepSize, this.#clock.now());
      if (entries.length === 0) return recalled;
      recalled += await this.recall(
        tenant,
        entries.map(({ id }) => id),
      );
    }
  }
}
