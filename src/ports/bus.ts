/**
 * ③ Port Bus: carries notices to every node, the sender's included. A notice is a hint. The bus may lose, repeat, delay or
 * reorder notices, and the only effect is latency: readers compare `seq` with their own and ask the Store for what is
 * missing.
 *
 * The law, held by src/testing/bus.ts for every adapter:
 * - A node hears its own notices during `publish`, without exception; those of one feed, and those of one user, in the
 *   order given.
 * - When notices of other nodes were lost, the node hears a LostNotice within 3 s of the loss. That includes the last
 *   notice before a silence, and notices of a node that died before it could send them.
 * - While a node cannot hear the others, or another node is silent, it hears a LostNotice every 1 to 2 s.
 * - A bus that can lose notices without ever detecting it publishes a LostNotice for all feeds every 60 s.
 * - Notices of other nodes arrive whole, or not at all.
 */
import type { FeedKey } from "./store.ts";
import type { TraceContext } from "./tracer.ts";

/** A durable message was appended to a feed. */
export interface EntryNotice {
  readonly type: "entry";
  readonly feed: FeedKey;
  readonly epoch: number;
  readonly seq: number;
  /** The message's UUID, in lower case. */
  readonly id: string;
  /** An encoded tidings.v1.Message without its position. */
  readonly body: Uint8Array;
  /** In ms since the Unix epoch; Infinity for never. */
  readonly expireTime: number;
  /** The span that published the message, if it is traced. It is part of the notice only, and never stored. */
  readonly trace?: TraceContext;
}

/** A message that is not stored. A stream that does not hear this notice never gets it. */
export interface LiveNotice {
  readonly type: "live";
  readonly feed: FeedKey;
  /** An encoded tidings.v1.Message without a position. */
  readonly body: Uint8Array;
  /** As of an EntryNotice. */
  readonly trace?: TraceContext;
}

/** A user's read state changed. A notice that names nothing says that it is not known what changed. */
export interface ReadNotice {
  readonly type: "read";
  readonly tenant: string;
  readonly user: string;
  /** Ids of messages that were marked as read. */
  readonly readIds: readonly string[];
  /** Ids of messages that were marked as unread. */
  readonly unreadIds: readonly string[];
  /** Ids of messages that the user deleted. */
  readonly deletedIds: readonly string[];
  /** Every message was marked as read. */
  readonly all: boolean;
}

/** Messages were recalled from a feed. */
export interface RecallNotice {
  readonly type: "recall";
  readonly feed: FeedKey;
  readonly ids: readonly string[];
}

/** A user's streams have to end. */
export interface DisconnectNotice {
  readonly type: "disconnect";
  readonly tenant: string;
  readonly user: string;
  /** Only streams with the token of this id; "" for all. */
  readonly tokenId: string;
  /** The reason that the user's clients are shown. */
  readonly reason: string;
}

/** A notice that travels on the bus. */
export type Notice = EntryNotice | LiveNotice | ReadNotice | RecallNotice | DisconnectNotice;

/** What a bus tells its operators. Counts start with the bus. */
export interface BusFigures {
  /** Whether it hears the other nodes. */
  readonly connected: boolean;
  /** How often it detected that notices of other nodes were lost. */
  readonly losses: number;
  /** Messages sent, each with the notices of one event-loop tick. */
  readonly sent: number;
  /** Messages heard from other nodes. */
  readonly heard: number;
  /** Messages that were not sent, because the transport was away or too slow. */
  readonly dropped: number;
}

/** Notices of other nodes may be lost. It is never sent: a bus calls only its own node's listeners with it. */
export interface LostNotice {
  readonly type: "lost";
  /**
   * Whether notices about this feed may be among the lost ones. Notices about a user count as those about the user's own
   * feed. May be called at any later time; it must be cheap, and always answer the same.
   */
  readonly touches: (feed: FeedKey) => boolean;
  /** True if notices are missing for certain; false if nothing arrived, perhaps because nothing was sent. */
  readonly certain: boolean;
}

/** An event that a listener receives. */
export type BusEvent = Notice | LostNotice;

/** The feeds about which a node wants notices of other nodes. */
export interface FeedInterest {
  /** Adds a feed; adds count up. Notices that are published after `add` has returned are delivered. */
  add(feed: FeedKey): void;
  /** Takes back one `add` of a feed. */
  delete(feed: FeedKey): void;
}

/** The port. */
export interface Bus {
  /**
   * Calls this node's listeners, then sends the notices to the other nodes, in the order given. It never throws and never
   * waits: notices that cannot be sent are lost, and detected as such. After `close` it does nothing.
   */
  publish(notices: readonly Notice[]): void;
  /**
   * Calls the listener with everything that is heard from now on, until the returned function is called, which may
   * happen twice and within a listener. A function that subscribes twice is called twice. A listener that throws
   * affects neither the other listeners nor the publisher: its error becomes a warning of the process. After `close` it
   * is not called.
   */
  subscribe(listener: (heard: BusEvent) => void): () => void;
  /**
   * Returns the interest of this node, which is empty at first. From now on the bus may leave out notices of other nodes about
   * messages (`entry` and `live`) of feeds outside of it, and about read states (`read`) of users whose own feed is outside of
   * it. A bus without this method delivers everything.
   */
  restrict?(): FeedInterest;
  /** What the bus tells its operators now. A bus without it always reaches every node, and loses nothing. */
  figures?(): BusFigures;
  /** Stops sending and hearing. It may take a moment to send what was published before. */
  close(): Promise<void>;
}
