/** The connection of an event-loop thread to the host of its process, and the messages that pass over it. */
import type { MessagePort } from "node:worker_threads";
import type { PresenceChange } from "../../ports/presence.ts";
import type { StoreFigures, StoreHealth, StoreInfo } from "../../ports/store.ts";
import type { CountMemory } from "./shared-counts.ts";

/**
 * What an event-loop thread needs to use the ports of its process. It passes to the thread in `workerData`, and its ports
 * in the transfer list.
 */
export interface ThreadLink {
  /** The number of the thread within its process. */
  readonly id: number;
  /** What the store answered when it was opened. */
  readonly info: StoreInfo;
  /** Brings StoreMessages. */
  readonly store: MessagePort;
  /** Brings PeerMessages. */
  readonly bus: MessagePort;
  /** The cells of this thread, of the layout of `cells`. */
  readonly cells: SharedArrayBuffer;
  /** Takes PresenceCalls, and brings PresenceMessages. */
  readonly presence: MessagePort;
  /** Takes Spent, and brings Levels. */
  readonly limiter: MessagePort;
}

/** A message about the store. */
export type StoreMessage =
  /** A port to the store's thread: the first one, or, after a restart of the thread, another. */
  { readonly type: "port"; readonly port: MessagePort } | { readonly type: "state"; readonly state: StoreState };

/** What a thread knows of the store that is the same for all threads. */
export interface StoreState {
  readonly health: StoreHealth;
  /** Why nothing must be written now; undefined if writing is safe. */
  readonly writeRefusal: string | undefined;
  readonly figures: StoreFigures;
}

/** Another thread, with the port for notices to it and from it. */
export interface PeerMessage {
  readonly id: number;
  readonly port: MessagePort;
  /** The cells of that thread. */
  readonly cells: SharedArrayBuffer;
  /** Whether the other thread is the newcomer: it may have missed what this one sent before. */
  readonly isNew: boolean;
}

/** The cells of a thread, 32-bit integers that other threads read and write. */
export const cells = {
  /** Bytes of notices that were sent to the thread and that it has not taken yet. */
  inFlight: 0,
  /** Messages that were not sent to it, because too many bytes were in flight. */
  dropped: 1,
  /** Grows while the thread's event loop runs. */
  heartbeat: 2,
  /** 1 once the thread hears of feeds of its interest only. */
  isRestricted: 3,
  /** The first of the slots of its interest: how many of its feeds are hashed to each. */
  interest: 4,
  interestSlots: 65_536,
} as const;

/** The bytes of the cells of a thread. The system commits a page of them when a feed of that page is first added. */
export const cellBytes = (cells.interest + cells.interestSlots) * Int32Array.BYTES_PER_ELEMENT;

/** A call of port Presence: a number that its answer repeats, the method, and its arguments. */
export type PresenceCall = readonly [id: number, method: PresenceMethod, args: readonly unknown[]];
/** A method of port Presence that the host answers. */
export type PresenceMethod = "enter" | "join" | "leave" | "count" | "connections" | "close";

/** What the host sends about presence: changes first, since the answers include them. */
export interface PresenceMessage {
  /** The table of the counts from now on. */
  readonly counts?: CountMemory;
  readonly changes: readonly PresenceChange[];
  readonly answers: readonly (readonly [id: number, value: unknown])[];
}

/** Tokens that a thread has spent, for each bucket. */
export type Spent = readonly (readonly [limit: string, key: string, perSecond: number, burst: number, spent: number])[];
/** The levels of the shared buckets after that, in the same order. */
export type Levels = readonly number[];
