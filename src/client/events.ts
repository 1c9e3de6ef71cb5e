/** What a stream says, in plain values that are the same whether it came as Protobuf or as JSON. */
import type { TidingsError } from "./tidings-error.ts";

/** How to enter a room: `any` always; `first` only while nobody else is in it; `last` always, and all others are out. */
export type JoinMode = "any" | "first" | "last";

/** A room to enter. */
export interface RoomJoin {
  /** 1 to 320 characters; directRoom() makes that of two users. */
  readonly roomId: string;
  /** Default `any`. */
  readonly mode?: JoinMode;
}

/** A place in one feed. */
export interface Position {
  /** `user`, `tenant`, `activity`, `everyone` or `room/<id>`. */
  readonly feed: string;
  /** The life of the feed that `seq` counts in. */
  readonly epoch: number;
  /** The last message seen, as a decimal number. */
  readonly seq: string;
}

/** How many messages a user has not read. */
export interface UnreadTotals {
  /** All of them. */
  readonly total: number;
  /** The same by category; categories with none are left out. */
  readonly byCategory: Readonly<Record<string, number>>;
  /** Grows with every change of the user's read state; a decimal number. */
  readonly version: string;
}

/** How many are connected. */
export interface OnlineState {
  /** Distinct users. */
  readonly users: number;
  /** Their open streams. */
  readonly connections: number;
}

/** A stream has begun. */
export interface HelloEvent {
  readonly type: "hello";
  /** Names the stream in the server's logs. */
  readonly subscriptionId: string;
}

/** A message, missed or live. */
export interface MessageEvent<M> {
  readonly type: "message";
  readonly message: M;
}

/** The user's read state changed, on whatever device. */
export interface ReadStateEvent {
  readonly type: "readState";
  /** The new totals; `undefined` from a server that did not send them. */
  readonly unread: UnreadTotals | undefined;
  /** Messages that are now read. Empty when too many to name: list again. */
  readonly readIds: readonly string[];
  /** Messages that are now unread. */
  readonly unreadIds: readonly string[];
  /** Messages that are gone. */
  readonly deletedIds: readonly string[];
  /** All messages were marked as read. */
  readonly all: boolean;
}

/** The tenant's online count changed. */
export interface OnlineEvent extends OnlineState {
  readonly type: "online";
}

/** All that was missed has been given; what follows is live. */
export interface CaughtUpEvent {
  readonly type: "caughtUp";
}

/** Messages after `from`, up to and including `to`, cannot be sent any more; lists show what is left. */
export interface GapEvent {
  readonly type: "gap";
  readonly from: Position | undefined;
  readonly to: Position | undefined;
}

/** The server does not know the kept positions, so the stream starts anew; what was missed is in the lists. */
export interface ResetEvent {
  readonly type: "reset";
  /** The server's reason, such as `POSITION_IN_FUTURE`. */
  readonly reason: string;
}

/** What became of a room that was asked for; the rest of the stream goes on. */
export interface RoomEvent {
  readonly type: "room";
  /** The canonical id: of a direct room, what directRoom() gives. */
  readonly roomId: string;
  /**
   * `refused`: the caller may not enter, or someone else is in; asked for again when the client next connects. `kicked`:
   * someone else took the room, or the caller may no longer be in it; not asked for again but by join().
   */
  readonly status: "joined" | "refused" | "kicked";
  /** Why, in English; empty when joined. */
  readonly reason: string;
  /** Unless joined, the Connect code: `permission_denied`, `already_exists`, `unavailable`, `resource_exhausted`. */
  readonly code: string;
}

/** What events() gives; `M` is the form of a message: Protobuf or JSON. */
export type TidingsEvent<M> =
  | HelloEvent
  | MessageEvent<M>
  | ReadStateEvent
  | OnlineEvent
  | CaughtUpEvent
  | GapEvent
  | ResetEvent
  | RoomEvent;

/** What on() gives to a listener, by name. */
export interface TidingsListeners<M> {
  hello: HelloEvent;
  /** The message itself. */
  message: M;
  readState: ReadStateEvent;
  online: OnlineEvent;
  caughtUp: CaughtUpEvent;
  gap: GapEvent;
  reset: ResetEvent;
  room: RoomEvent;
  /** Told once per trouble, not once per attempt; after it, `state` says whether the client goes on. */
  error: TidingsError;
}

/** What a stream hands to the session: what callers get, with what only the session needs. */
export type StreamEvent<M> =
  | (HelloEvent & {
      /** The longest silence, in ms; 0: unknown. */
      readonly heartbeatMs: number;
      readonly unread: UnreadTotals | undefined;
      readonly online: OnlineState | undefined;
      readonly positions: readonly Position[];
    })
  | (MessageEvent<M> & {
      readonly position: Position | undefined;
      readonly category: string;
      /** A NOTIFICATION: unread until marked. */
      readonly notification: boolean;
    })
  | ReadStateEvent
  | OnlineEvent
  | (CaughtUpEvent & { readonly positions: readonly Position[] })
  | GapEvent
  | RoomEvent
  | { readonly type: "heartbeat"; readonly positions: readonly Position[] }
  | { readonly type: "goAway"; readonly reconnectAfterMs: number }
  /** From a newer server. */
  | { readonly type: "unknown" };

/** Takes what a stream says. */
export interface StreamSink<M> {
  /** The next event. */
  event(event: StreamEvent<M>): void;
  /** The stream is over; called at most once, and the last call. */
  end(error: TidingsError): void;
}

/** What a stream begins with. */
export interface StreamRequest {
  readonly token: string;
  readonly positions: readonly Position[];
  /** What to enter. */
  readonly rooms: readonly Required<RoomJoin>[];
}

/**
 * Opens a stream. Never throws and never calls the sink before it has returned. Returns the way to drop the stream, after
 * which the sink is not called again.
 */
export type OpenStream<M> = (request: StreamRequest, sink: StreamSink<M>) => () => void;
