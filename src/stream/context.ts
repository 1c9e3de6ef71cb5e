import type { BlockList } from "../auth/block-list.ts";
import type { Identity } from "../auth/identity.ts";
import type { Filters } from "../feeds/filter.ts";
import type { HistoryReader } from "../feeds/history.ts";
import type { Hub } from "../feeds/hub.ts";
import type { StoredMessages } from "../feeds/stored-messages.ts";
import type { Inbox } from "../inbox/inbox.ts";
import type { ReadStateService } from "../inbox/read-state-service.ts";
import type { Counters } from "../metrics/counters.ts";
import type { Settings } from "../options.ts";
import type { Presence } from "../ports/presence.ts";
import type { Store } from "../ports/store.ts";
import type { OnlineCounts } from "../presence/online-counts.ts";
import type { RoomAccess } from "../rooms/access.ts";
import type { FlushQueue } from "../wire/flush-queue.ts";
import type { Alerts } from "./alerts.ts";
import type { StreamRegistry } from "./registry.ts";

/**
 * What the streams of a node share. Each part of a stream declares which members it uses, but keeps the one reference: a
 * field for each would cost memory in every idle stream.
 */
export interface StreamContext {
  readonly settings: Settings;
  readonly store: Store;
  readonly presence: Presence;
  readonly access: RoomAccess;
  readonly states: ReadStateService;
  readonly hub: Hub;
  readonly inbox: Inbox;
  readonly online: OnlineCounts;
  readonly streams: StreamRegistry;
  readonly history: HistoryReader;
  readonly messages: StoredMessages;
  readonly flushQueue: FlushQueue;
  readonly alerts: Alerts;
  readonly filters: Filters;
  readonly blockList: BlockList;
  readonly counters: Counters;
  /** Returns when a caller's token expires by the clock of the settings: tokens are checked by that of the machine. */
  expiryOf(identity: Identity): number;
  /** Returns a new UUIDv7. */
  newId(): string;
}
