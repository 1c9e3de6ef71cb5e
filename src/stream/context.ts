import type { Blocks } from "../auth/block-list.ts";
import type { Healing } from "../feeds/gap-repair.ts";
import type { Pages } from "../feeds/history.ts";
import type { Hub } from "../feeds/hub.ts";
import type { Inbox } from "../inbox/inbox.ts";
import type { ReadStates } from "../inbox/read-state-service.ts";
import type { Instruments } from "../metrics/counters.ts";
import type { Settings } from "../options.ts";
import type { Presence } from "../ports/presence.ts";
import type { Store } from "../ports/store.ts";
import type { Tracer } from "../ports/tracer.ts";
import type { OnlineCounts } from "../presence/online-counts.ts";
import type { RoomAccess } from "../rooms/access.ts";
import type { Turn } from "../wire/flush-queue.ts";
import type { Alerts } from "./alerts.ts";
import type { Streams } from "./registry.ts";

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
