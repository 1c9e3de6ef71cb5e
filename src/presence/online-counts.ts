import type { Clock, Timer } from "../ports/clock.ts";
import type { OnlineTotals, Presence } from "../ports/presence.ts";

/** At most one event per tenant in so long, whatever happens. */
const intervalMs = 1000;

interface Watched {
  readonly watchers: Set<(online: OnlineTotals) => void>;
  timer: Timer | undefined;
  /** A change has come since the last event. */
  stale: boolean;
}

/**
 * Tells subscriptions of their tenant's online count: at once when it changes, then at most one a second, and the last
 * value is always the right one.
 */
export class OnlineCounts {
  readonly #presence: Presence;
  readonly #clock: Clock;
  readonly #tenants = new Map<string, Watched>();
  readonly #unwatch: () => void;

  constructor(presence: Presence, clock: Clock) {
    this.#presence = presence;
    this.#clock = clock;
    this.#unwatch = presence.watch((change) => {
      if (change.type === "count") this.#changed(change.tenant);
    });
  }

  /** Calls with each new count of the tenant until the returned function is called. */
  watch(tenant: string, watcher: (online: OnlineTotals) => void): () => void {
    const watched = this.#tenants.get(tenant) ?? { watchers: new Set(), timer: undefined, stale: false };
    this.#tenants.set(tenant, watched);
    watched.watchers.add(watcher);
    return () => {
      watched.watchers.delete(watcher);
      if (watched.watchers.size > 0 || this.#tenants.get(tenant) !== watched) return;
      watched.timer?.cancel();
      this.#tenants.delete(tenant);
    };
  }

  /** Calls nobody any more. */
  close(): void {
    this.#unwatch();
    for (const { timer } of this.#tenants.values()) timer?.cancel();
    this.#tenants.clear();
  }

  #changed(tenant: string): void {
    const watched = this.#tenants.get(tenant);
    if (!watched) return;
    if (watched.timer) watched.stale = true;
    else this.#tell(tenant, watched);
  }

  #tell(tenant: string, watched: Watched): void {
    watched.stale = false;
    watched.timer = this.#clock.after(intervalMs, () => {
      watched.timer = undefined;
      if (watched.stale) this.#tell(tenant, watched);
    });
    this.#presence.count(tenant).then(
      (online) => {
        for (const watcher of watched.watchers) watcher(online);
      },
      // The next change, or the next second, tells.
      () => {
        watched.stale = true;
      },
    );
  }
}

/** Whether two counts say the same; one that was never told says nothing. */
export function sameCount(a: OnlineTotals, b: OnlineTotals | undefined): boolean {
  return a.users === b?.users && a.connections === b.connections;
}
