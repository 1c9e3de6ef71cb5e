import type { Logger } from "pino";
import type { Bus } from "../../ports/bus.ts";
import type { Presence } from "../../ports/presence.ts";
import type { RateLimiter } from "../../ports/rate-limiter.ts";
import type { CommitListener, Store } from "../../ports/store.ts";
import { ThreadBus } from "./bus.ts";
import type { ThreadLink } from "./link.ts";
import { ThreadPresence } from "./presence.ts";
import { ThreadRateLimiter } from "./rate-limiter.ts";
import { ThreadStore } from "./store.ts";

/** Options of openThreadPorts. */
export interface ThreadPortOptions {
  /**
   * Called after commits that are on the disk. Each commit is reported to one thread, so that the counts of all threads add
   * up to those of the process.
   */
  readonly committed?: CommitListener;
  /** Gets a line when another thread dies, falls silent or runs again, and when notices to this one were dropped. */
  readonly logger?: Logger | undefined;
}

/** The ports of an event-loop thread. */
export interface ThreadPorts {
  readonly store: Store;
  readonly bus: Bus;
  readonly presence: Presence;
  readonly limiter: RateLimiter;
}

/** Opens the ports of an event-loop thread, from the link that `ThreadHost.connect` made for it. Close each of them. */
export function openThreadPorts(link: ThreadLink, { committed, logger }: ThreadPortOptions = {}): ThreadPorts {
  return {
    store: new ThreadStore(link, committed),
    bus: new ThreadBus(link, logger),
    presence: new ThreadPresence(link),
    limiter: new ThreadRateLimiter(link),
  };
}
