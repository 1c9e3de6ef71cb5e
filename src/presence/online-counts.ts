import type { Clock, Timer } from "../ports/clock.ts";
import type { OnlineTotals, Presence } from "../ports/presence.ts";
import { guard, warn } from "../util/guard.ts";

/** The least time between two counts of one tenant, in ms. */
const intervalMs = 1000;

interface Watched {
  readonly watchers: Set<(online: OnlineTotals) => void>;
  timer: Timer | undefined;
  /** The count changed, or could not be read, since the last count. */
  stale: boolean;
}

/**
 * Watches the online counts of tenants for their subscriptions. A change is reported at once, but at most once a second per
 * tenant, and the last reported count is always the current one.
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

  /** Calls `watcher` with each new count of the tenant until the returned function is called. */
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

  /** Stops all watching. */
  close(): void {
    this.#unwatch();
    for (const { timer } of this.#tenants.values()) timer?.cancel();
    this.#tenants.clear();
  }

  #changed(tenant: string): void {
    const watched = this.#tenants.get(tenant);
    if (!watched) return;
    if (watched.timer) watched.stale = true;
    else this.#report(tenant, watched);
  }

  #report(tenant: string, watched: Watched): void {
    watched.stale = false;
    watched.timer = this.#clock.after(intervalMs, () => {
      watched.timer = undefined;
      if (watched.stale) this.#report(tenant, watched);
    });
    this.#presence.count(tenant).then(
      (online) => {
        for (const watcher of watched.watchers) guard(warn, () => watcher(online));
      },
      // The next change, or the timer, counts again.
      () => {
        watched.stale = true;
      },
    );
  }
}

/** Reports whether two counts are equal; no count equals undefined. */
export function sameCount(a: OnlineTotals, b: OnlineTotals | undefined): boolean {
  return a.users === b?.users && a.connections === b.connections;
}
