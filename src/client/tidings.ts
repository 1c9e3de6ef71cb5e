/** The receiving half of a client, the same for Protobuf and JSON. */
import { aString, checkShape } from "./check.ts";
import type { Session } from "./connection/session.ts";
import type { TidingsState } from "./connection/transitions.ts";
import type { JoinMode, OnlineState, TidingsEvent, TidingsListeners, UnreadTotals } from "./events.ts";
import type { Observable } from "./state/observable.ts";

/** The receiving half of a client. `M` is the type of a message. */
export interface TidingsStream<M> {
  /** The state of the connection. */
  readonly state: Observable<TidingsState>;
  /** The user's unread totals, kept up to date as messages arrive; undefined until known, and for services. */
  readonly unread: Observable<UnreadTotals | undefined>;
  /** The tenant's online count, kept up to date if the subscription asks for `onlineCount`; undefined until known. */
  readonly online: Observable<OnlineState | undefined>;
  /**
   * Calls the listener on each event of this name, until the returned function is called. A message is consumed when
   * its listeners return. What a listener throws, or what its promise rejects with, is reported as an `error` event,
   * or by console.error where nothing listens for errors, and affects nothing else. Throws a TypeError for a name that
   * no event has, and for a listener that is not a function.
   */
  on<K extends keyof TidingsListeners<M>>(type: K, listener: (event: TidingsListeners<M>[K]) => void): () => void;
  /**
   * The events from this call on, for `for await`. An event is consumed when the loop asks for the next one; only
   * consumed positions are saved in the storage, so after a crash the loop gets the event again that it was processing.
   * When `queueLimit` events are queued, the stream pauses until the loop has caught up. The loop ends when the client
   * is closed, and throws the error that closed it, if any. Leaving the loop early closes the client without consuming
   * the current event; to listen for a limited time use on().
   */
  events(): AsyncIterableIterator<TidingsEvent<M>>;
  /**
   * Joins a room until leave(), a `room` event with the status `kicked`, or the end of the client. The client
   * reconnects at once, from the same positions; a `room` event reports whether the server admitted it. Does nothing
   * for a room that was joined in the same mode before; to retry a refused room at once, leave it first. Throws a
   * TypeError for an argument of a wrong type or an unknown option, and a RangeError for an id or a mode that no server
   * accepts, and for a 101st room.
   */
  join(roomId: string, options?: { readonly mode?: JoinMode }): void;
  /**
   * Leaves a room and forgets its position, so that a later join() starts as a new member. Does nothing for a room that
   * was not joined. Throws a TypeError for an id that is not a string.
   */
  leave(roomId: string): void;
  /** Ends the stream, the loops, the timers and the calls. Does nothing when repeated. */
  close(): void;
  /** Closes the client, as close() does. */
  [Symbol.dispose](): void;
}

/** The receiving half of the client that this session drives. */
export function streamOf<M>(session: Session<M>): TidingsStream<M> {
  const { intake } = session;
  return {
    state: session.state,
    unread: intake.badge.totals,
    online: intake.online,
    on: (type, listener) => intake.listeners.add(type, listener),
    events: () => intake.deliveries.read(),
    join(roomId, options = {}) {
      checkShape("options", options, { mode: aString });
      session.join(roomId, options.mode);
    },
    leave: (roomId) => session.leave(roomId),
    close: () => session.close(),
    // Where there is no such symbol, as in browsers of before 2025, a property that nobody sees is named by another one.
    [Symbol.dispose ?? Symbol()]: () => session.close(),
  };
}
