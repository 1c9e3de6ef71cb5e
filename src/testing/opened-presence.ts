import type { Presence } from "../ports/presence.ts";

/** Open nodes of one presence. */
export interface OpenedPresence {
  /** The nodes: at least two where the presence is shared by processes. */
  readonly nodes: readonly [Presence, ...Presence[]];
  /** Closes all of them. */
  close(): Promise<void>;
}

/** Open nodes of a presence whose shared state a test can damage, as eviction does. */
export interface LosingPresence extends OpenedPresence {
  /** Lists the keys of the shared state that hold something now. */
  keys(): Promise<readonly string[]>;
  /** Removes one key. */
  lose(key: string): Promise<void>;
  /** The time within which the nodes repair it: that of a renewal, in ms. */
  readonly repairMs: number;
}
