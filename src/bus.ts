/**
 * ③ Port Bus: tells every node, this one included, what is new. A hint: it may lose, repeat, delay or reorder, and the
 * only effect is latency, because readers compare `seq` with their own and ask the Store for what is missing.
 */
import type { FeedKey } from "./store.ts";
import type { TraceContext } from "./tracer.ts";

/** A durable message in a feed. */
export interface EntryNotice {
  readonly type: "entry";
  readonly feed: FeedKey;
  readonly epoch: number;
  readonly seq: number;
  readonly id: string;
  /** Encoded tidings.v1.Message without position. */
  readonly body: Uint8Array;
  /** Infinity: never. */
  readonly expireTime: number;
  /** The span that published it, where that is traced. It travels with the notice only, and is never stored. */
  readonly trace?: TraceContext;
}

/** A message that is not kept: who is not listening now never gets it. */
export interface LiveNotice {
  readonly type: "live";
  readonly feed: FeedKey;
  readonly body: Uint8Array;
  /** As of an EntryNotice. */
  readonly trace?: TraceContext;
}

/** A user's read state changed. */
export interface ReadNotice {
  readonly type: "read";
  readonly tenant: string;
  readonly user: string;
  readonly readIds: readonly string[];
  readonly unreadIds: readonly string[];
  readonly deletedIds: readonly string[];
  readonly all: boolean;
}

/** Messages were taken out of a feed. */
export interface RecallNotice {
  readonly type: "recall";
  readonly feed: FeedKey;
  readonly ids: readonly string[];
}

/** A user's streams are to end. */
export interface DisconnectNotice {
  readonly type: "disconnect";
  readonly tenant: string;
  readonly user: string;
  /** Only streams with this token; "" for all. */
  readonly tokenId: string;
  readonly reason: string;
}

/** Whatever travels on the bus. */
export type Notice = EntryNotice | LiveNotice | ReadNotice | RecallNotice | DisconnectNotice;

/** What a bus says of itself to operators. */
export interface BusFigures {
  /** It reaches the other nodes. */
  readonly connected: boolean;
  /** How often so far it found that it had not heard something. */
  readonly losses: number;
}

/** The port. */
export interface Bus {
  /** Sends notices, in order as far as nothing goes wrong. Never throws and never waits: a lost notice is healed. */
  publish(notices: readonly Notice[]): void;
  /** Calls for every notice from any node, until the returned function is called. A listener that throws hurts nobody else. */
  subscribe(listener: (notice: Notice) => void): () => void;
  /** What it says of itself; without, it reaches all and loses nothing. */
  figures?(): BusFigures;
  /** Stops; later notices are dropped. */
  close(): Promise<void>;
}
