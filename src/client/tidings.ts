/** What a connected client offers, whatever the form of its messages. */
import { aString, checkShape } from "./check.ts";
import type { Session } from "./connection/session.ts";
import type { TidingsState } from "./connection/transitions.ts";
import type { JoinMode, OnlineState, TidingsEvent, TidingsListeners, UnreadTotals } from "./events.ts";
import type { Observable } from "./state/observable.ts";

/** The receiving half of a client; `M` is the form of a message. */
export interface TidingsStream<M> {
  /** Where the connection is. */
  readonly state: Observable<TidingsState>;
  /** The user's unread totals, counted as messages come in; `undefined` until known, and for services. */
  readonly unread: Observable<UnreadTotals | undefined>;
  /** The tenant's online count, kept up to date if the subscription asks for `onlineCount`; `undefined` until known. */
  readonly online: Observable<OnlineState | undefined>;
  /**
   * Calls a listener on each event of this name, until the returned function is called. A message counts as consumed when
   * its listeners return. A listener's exception is reported as uncaught and stops nothing.
   */
  on<K extends keyof TidingsListeners<M>>(type: K, listener: (event: TidingsListeners<M>[K]) => void): () => void;
  /**
   * The events from this call on, for `for await`. Each is consumed when the loop asks for the next one; only consumed
   * positions are kept in the storage, so a loop that dies is given the event it died of again. If `queueLimit` events
   * wait, the stream pauses until the loop has caught up. Ends when the client is closed; throws what closed it, if that
   * was an error. Leaving the loop early closes the client, without having consumed the event at which it was left: to
   * listen for a while only, use on().
   */
  events(): AsyncIterableIterator<TidingsEvent<M>>;
  /**
   * Enters a room, from the caller's point of view for ever: until leave(), a `room` event of status `kicked`, or the end
   * of the client. The client reconnects at once, from the same positions; whether the room was entered comes as a `room`
   * event. A room that is asked for in the same mode already is left as it is; to ask at once for one that was refused,
   * leave it first. Throws a RangeError for an id that no server takes, and for a 101st room.
   */
  join(roomId: string, options?: { readonly mode?: JoinMode }): void;
  /** Leaves a room, and forgets its position: who joins it again is new there. A room that was not asked for is left alone. */
  leave(roomId: string): void;
  /** Ends the stream, all loops, timers, listeners and calls. Harmless when repeated. */
  close(): void;
  /** As close(). */
  [Symbol.dispose](): void;
}

/** The receiving half on top of a session. */
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
    [Symbol.dispose]: () => session.close(),
  };
}
