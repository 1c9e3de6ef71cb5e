/** The connection of an event-loop thread to the host of its process, and the messages that pass over it. */
import type { MessagePort } from "node:worker_threads";
import type { PresenceChange } from "../../ports/presence.ts";
import type { StoreFigures, StoreHealth, StoreInfo } from "../../ports/store.ts";
import type { CountMemory } from "./shared-counts.ts";

/**
 * What an event-loop thread needs to use the ports of its process. The thread gets it in `workerData`, with its ports in the
 * transfer list.
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

/** The state of the store, which is the same for all threads. */
export interface StoreState {
  readonly health: StoreHealth;
  /** The reason for which nothing must be written now; undefined if writing is safe. */
  readonly writeRefusal: string | undefined;
  readonly figures: StoreFigures;
}

/** Another thread, with the port for notices to it and from it. */
export interface PeerMessage {
  readonly id: number;
  readonly port: MessagePort;
  /** The cells of that thread. */
  readonly cells: SharedArrayBuffer;
  /** Whether the other thread is the newer one, and may have missed notices that this one sent before. */
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
  /** 1 once the thread gets notices of the feeds that it follows only. */
  isRestricted: 3,
  /** The first slot of its interest. A slot has the number of followed feeds that are hashed to it. */
  interest: 4,
  interestSlots: 65_536,
} as const;

/** The bytes of the cells of a thread. The system commits a page of memory when its first slot is used. */
export const cellBytes = (cells.interest + cells.interestSlots) * Int32Array.BYTES_PER_ELEMENT;

/** A call of port Presence: a number that its answer repeats, the method, and its arguments. */
export type PresenceCall = readonly [id: number, method: PresenceMethod, args: readonly unknown[]];
/** A method of port Presence that the host answers. */
export type PresenceMethod = "enter" | "join" | "leave" | "count" | "connections" | "close";

/** A message of the host about presence. Changes come before answers, which take them into account. */
export interface PresenceMessage {
  /** The table that has the counts from now on; absent if it has not changed. */
  readonly counts?: CountMemory;
  readonly changes: readonly PresenceChange[];
  readonly answers: readonly (readonly [id: number, value: unknown])[];
}

/** Tokens that a thread has spent, for each bucket. */
export type Spent = readonly (readonly [limit: string, key: string, perSecond: number, burst: number, spent: number])[];
/** The levels of the shared buckets after that, in the same order. */
export type Levels = readonly number[];
