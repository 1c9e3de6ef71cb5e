import type { Presence } from "../ports/presence.ts";

/** Nodes that share what they know; one where there is only one process. */
export interface OpenedPresence {
  readonly nodes: readonly [Presence, ...Presence[]];
  close(): Promise<void>;
}
