/**
 * ③ Port Bus: tells every node, this one included, what is new. A hint: it may lose, repeat, delay or reorder, and the
 * only effect is latency, because readers compare `seq` with their own and ask the Store for what is missing.
 *
 * The law, held by test/ports/bus.ts for every adapter:
 * - A node hears its own notices at once and always; those of one feed, and those of one user, in the order given.
 * - What a node did not hear of others is said to it as a LostNotice within 3 s of the loss. That holds for the last
 *   notice before a silence, too, and for those of a node that died before it could send them.
 * - While a node cannot hear the others, or one of them is silent, it is told so again every 1 to 2 s.
 * - A bus that may lose something without ever knowing says every 60 s that all may have been lost.
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

/** What a bus says of itself to operators; counts are since it began. */
export interface BusFigures {
  /** It hears the other nodes. */
  readonly connected: boolean;
  /** How often it found that something of other nodes was not heard. */
  readonly losses: number;
  /** Messages on the wire, each with the notices of one turn. */
  readonly sent: number;
  readonly heard: number;
  /** Not sent: what carries them was away, or did not take them fast enough. */
  readonly dropped: number;
}

/** Notices of other nodes were not heard. It never travels: a bus says it to its own node, and src/feeds/gap-repair.ts answers. */
export interface LostNotice {
  readonly type: "lost";
  /** Whether notices about this feed may be among them. Those about a user count as those about the user's own feed. */
  readonly touches: (feed: FeedKey) => boolean;
  /** Notices are missing for certain; else nothing was heard, and perhaps nothing was said. */
  readonly certain: boolean;
}

/** Whatever a node hears. */
export type BusEvent = Notice | LostNotice;

/** The port. */
export interface Bus {
  /** Sends notices, in order as far as nothing goes wrong. Never throws and never waits: a lost notice is healed. */
  publish(notices: readonly Notice[]): void;
  /** Calls for every notice from any node, until the returned function is called. A listener that throws hurts nobody else. */
  subscribe(listener: (heard: BusEvent) => void): () => void;
  /** What it says of itself; one without reaches all at once, and loses nothing. */
  figures?(): BusFigures;
  /** Stops; later notices are dropped. */
  close(): Promise<void>;
}
