import type { Bus } from "./bus.ts";
import type { Presence } from "./presence.ts";
import type { Store } from "./store.ts";

/** The three ports of a node. */
export interface Ports {
  readonly store: Store;
  readonly bus: Bus;
  readonly presence: Presence;
}
