import type { Hub } from "./hub.ts";
import type { Inbox } from "./inbox.ts";
import type { OnlineCounts } from "./online.ts";
import type { Settings } from "./options.ts";
import type { Presence } from "./presence.ts";
import type { Store } from "./store.ts";
import type { Streams } from "./streams.ts";

/** The parts of a running node that its streams use. */
export interface Node {
  readonly settings: Settings;
  readonly store: Store;
  readonly presence: Presence;
  readonly hub: Hub;
  readonly inbox: Inbox;
  readonly online: OnlineCounts;
  readonly streams: Streams;
  /** A fresh UUIDv7. */
  newId(): string;
}
