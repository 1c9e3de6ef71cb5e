import type { Presence } from "../ports/presence.ts";

/** Open nodes of one presence. */
export interface OpenedPresence {
  /** The nodes: at least two where the presence is shared by processes. */
  readonly nodes: readonly [Presence, ...Presence[]];
  /** Closes all of them. */
  close(): Promise<void>;
}
