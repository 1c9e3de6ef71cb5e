import type { Alerts } from "./alerts.ts";
import type { Blocks } from "./blocks.ts";
import type { Healing } from "./healing.ts";
import type { Hub } from "./hub.ts";
import type { Inbox } from "./inbox.ts";
import type { Instruments } from "./instruments.ts";
import type { OnlineCounts } from "./online.ts";
import type { Settings } from "./options.ts";
import type { Pages } from "./pages.ts";
import type { Presence } from "./presence.ts";
import type { ReadStates } from "./read-states.ts";
import type { RoomAccess } from "./room-access.ts";
import type { Store } from "./store.ts";
import type { Streams } from "./streams.ts";
import type { Tracer } from "./tracer.ts";
import type { Turn } from "./turn.ts";

/** The parts of a running node that its streams use. */
export interface Node {
  readonly settings: Settings;
  readonly store: Store;
  readonly presence: Presence;
  readonly access: RoomAccess;
  readonly states: ReadStates;
  readonly hub: Hub;
  readonly healing: Healing;
  readonly inbox: Inbox;
  readonly online: OnlineCounts;
  readonly streams: Streams;
  readonly pages: Pages;
  readonly turn: Turn;
  readonly alerts: Alerts;
  readonly blocks: Blocks;
  readonly instruments: Instruments;
  readonly tracer: Tracer;
  /** A fresh UUIDv7. */
  newId(): string;
}
