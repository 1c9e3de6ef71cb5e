/** The events of a stream as plain values, the same for Protobuf and JSON, and the interface of a stream. */
import type { TidingsError } from "./tidings-error.ts";

/**
 * How to join a room: `any` always succeeds, `first` only while nobody else is in the room, and `last` always, removing
 * everybody else, for which the token needs a grant of its own (claim `takeover`).
 */
export type JoinMode = "any" | "first" | "last";

/** A room to join. */
export interface RoomJoin {
  /** The id: 1 to 320 characters. directRoom() returns the id for two users. */
  readonly roomId: string;
  /** How to join. Default `any`. */
  readonly mode?: JoinMode;
}

/** A position in one feed. */
export interface Position {
  /** The feed: `user`, `tenant`, `activity`, `everyone` or `room/<id>`. */
  readonly feed: string;
  /**
   * The epoch of the feed, which changes when the feed is rebuilt. After a store is restored from a backup, seq 40 of
   * the old epoch names another message than seq 40 of the new one.
   */
  readonly epoch: number;
  /** The sequence number of the last message received, in decimal. */
  readonly seq: string;
}

/** The number of messages that a user has not read. */
export interface UnreadTotals {
  /** All unread messages. */
  readonly total: number;
  /**
   * Unread messages by category, without the categories that have none. Messages without a category count under "". At most
   * 100 categories are named; messages of further ones count under "(other)".
   */
  readonly byCategory: Readonly<Record<string, number>>;
  /** The version of the user's read state, in decimal; it grows with every change. */
  readonly version: string;
}

/** The number of users who are connected. */
export interface OnlineState {
  /** Distinct users. */
  readonly users: number;
  /** Their open streams. */
  readonly connections: number;
}

/** A stream has started. */
export interface HelloEvent {
  readonly type: "hello";
  /** The id of the stream in the server's logs. */
  readonly subscriptionId: string;
}

/** A message: replayed or live. */
export interface MessageEvent<M> {
  readonly type: "message";
  readonly message: M;
}

/** The user's read state has changed, on this or another device. */
export interface ReadStateEvent {
  readonly type: "readState";
  /** The new totals; undefined if the server did not send them. */
  readonly unread: UnreadTotals | undefined;
  /** Messages that are now read. Empty if there are too many to name (over 1,000): then list again. */
  readonly readIds: readonly string[];
  /** Messages that are now unread. */
  readonly unreadIds: readonly string[];
  /** Messages that were deleted or recalled. */
  readonly deletedIds: readonly string[];
  /** All messages were marked as read. */
  readonly all: boolean;
}

/** The tenant's online count has changed. */
export interface OnlineEvent extends OnlineState {
  readonly type: "online";
}

/** The replay is complete; the events that follow are live. */
export interface CaughtUpEvent {
  readonly type: "caughtUp";
}

/**
 * Messages after `after`, up to and including `to`, are no longer available to the stream; lists show those that remain.
 */
export interface GapEvent {
  readonly type: "gap";
  readonly after: Position | undefined;
  readonly to: Position | undefined;
}

/** The server does not know the saved positions, so the stream starts anew. Lists show the messages that it missed. */
export interface ResetEvent {
  readonly type: "reset";
  /** The reason of the server's error, such as `POSITION_IN_FUTURE`. */
  readonly reason: string;
}

/** The status of a room that the client asked for has changed. The rest of the stream is not affected. */
export interface RoomEvent {
  readonly type: "room";
  /** The canonical id: for a direct room the one that directRoom() returns. */
  readonly roomId: string;
  /**
   * `joined`: the client is in the room. `refused`: the caller may not enter, or somebody else is in it; the client
   * asks again when it next connects. `kicked`: somebody else took the room, or the caller may no longer be in it; the
   * client does not ask again until join() is called.
   */
  readonly status: "joined" | "refused" | "kicked";
  /** The reason for programs, such as `ROOM_TAKEN` or `ROOM_FORBIDDEN` (docs/errors.md); empty if joined. */
  readonly reason: string;
  /** The reason as one English sentence; empty if joined. */
  readonly message: string;
  /**
   * The Connect code: `permission_denied`, `already_exists`, `unavailable` or `resource_exhausted`; empty if joined.
   */
  readonly code: string;
}

/** An event of events(). `M` is the type of a message: Protobuf or JSON. */
export type TidingsEvent<M> =
  | HelloEvent
  | MessageEvent<M>
  | ReadStateEvent
  | OnlineEvent
  | CaughtUpEvent
  | GapEvent
  | ResetEvent
  | RoomEvent;

/** The arguments of the listeners of on(), by the name of the event. */
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
  /**
   * An error of the connection, reported when trouble begins and when its kind changes, not at every attempt; `state`
   * tells whether the client retries. Also each error of another listener, with what it threw as its `cause`.
   */
  error: TidingsError;
}

/** An event as a stream passes it to the session: the event of the caller, with the fields that the session needs. */
export type StreamEvent<M> =
  | (HelloEvent & {
      /** In ms; unset if unknown. */
      readonly heartbeatInterval?: number;
      readonly unread: UnreadTotals | undefined;
      readonly online: OnlineState | undefined;
      readonly positions: readonly Position[];
    })
  | (MessageEvent<M> & {
      readonly position: Position | undefined;
      readonly category: string;
      /** Whether the message is a NOTIFICATION, which is unread until marked. */
      readonly notification: boolean;
    })
  | ReadStateEvent
  | OnlineEvent
  | (CaughtUpEvent & { readonly positions: readonly Position[] })
  | GapEvent
  | RoomEvent
  | { readonly type: "heartbeat"; readonly positions: readonly Position[] }
  | {
      readonly type: "goAway";
      /** In ms; unset for at once. */
      readonly reconnectAfter?: number;
    }
  /** An event of a newer server. */
  | { readonly type: "unknown" };

/** Receives the events of a stream. Ignores calls after the first end, and after it has dropped the stream. */
export interface StreamSink<M> {
  /** Called with each event. */
  event(event: StreamEvent<M>): void;
  /** Called when the stream has ended; the sink then drops it. */
  end(error: TidingsError): void;
}

/** The parameters of one stream. */
export interface StreamRequest {
  readonly token: string;
  readonly positions: readonly Position[];
  /** The rooms to join. */
  readonly rooms: readonly Required<RoomJoin>[];
}

/** A stream that was opened. */
export interface OpenedStream {
  /** Drops the stream, whether it has ended or not. */
  drop(): void;
  /** Asks the server for a heartbeat; false if the transport cannot. Called after Hello only. */
  probe(): boolean;
}

/** Opens a stream. Never throws, and never calls the sink before it has returned. */
export type OpenStream<M> = (request: StreamRequest, sink: StreamSink<M>) => OpenedStream;
