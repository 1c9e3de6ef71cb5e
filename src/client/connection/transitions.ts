/**
 * The transition table of a client's connection, with one cell for every state and signal. A missing cell is a compile
 * error, so that a signal which a state ignores is written down as `stay`.
 */

/** The state of a client's connection. */
export type TidingsState =
  /** Created; reads the saved positions. */
  | "idle"
  /** Waits for the token function. */
  | "authorizing"
  /** Opens a stream, until its Hello. */
  | "connecting"
  /** Receives the messages that it missed. */
  | "replaying"
  /** Receives messages as they are published. */
  | "live"
  /** Between two attempts, after a failure; `online` and `visibilitychange` end it. */
  | "waiting"
  /** Between two attempts, for the delay that the server named; nothing ends it early. */
  | "held"
  /** Between two attempts, after a fresh token was refused; `online` and `visibilitychange` end it. */
  | "unauthorized"
  /** A loop over events() fell behind; the stream is opened again when it has caught up. */
  | "paused"
  /** Ended by close() or by an error that a retry cannot resolve. */
  | "closed";

/** An event that can change the state. */
export type Signal =
  /** The saved positions were read. */
  | "start"
  /** The token function returned a token. */
  | "token"
  /** The stream's first event arrived. */
  | "hello"
  /** All missed messages have been sent. */
  | "caughtUp"
  /** The server named the delay before the next attempt: GoAway, or an error with RetryInfo. */
  | "later"
  /** The stream or the token function failed with an error that may be transient. */
  | "failed"
  /** A token was refused, for the first time since the connection was healthy: it has expired. */
  | "stale"
  /** A token was refused again. */
  | "refused"
  /** The server refused the positions, which the client has forgotten by now. */
  | "reset"
  /** The server refused the subscription itself. */
  | "rejected"
  /** The state's timer fired: the token, the Hello or a heartbeat is overdue, or the delay is over. */
  | "timer"
  /** The page came online or became visible. */
  | "wake"
  /** The caller changed the rooms. */
  | "resubscribe"
  /** The queue of a loop over events() is full. */
  | "overflow"
  /** Every loop over events() has consumed its queue. */
  | "drained"
  /** The caller closed the client. */
  | "close";

/** The cell of a signal that changes nothing: it is late, or has no meaning in this state. */
export const stay = "stay";

/** The next state: `transitions[state][signal]`. */
export const transitions: Readonly<Record<TidingsState, Readonly<Record<Signal, TidingsState | typeof stay>>>> = {
  idle: {
    start: "authorizing",
    token: stay,
    hello: stay,
    caughtUp: stay,
    later: stay,
    failed: stay,
    stale: stay,
    refused: stay,
    reset: stay,
    rejected: stay,
    timer: stay,
    wake: stay,
    resubscribe: stay,
    overflow: stay,
    drained: stay,
    close: "closed",
  },
  authorizing: {
    start: stay,
    token: "connecting",
    hello: stay,
    caughtUp: stay,
    later: stay,
    failed: "waiting",
    stale: stay,
    refused: stay,
    reset: stay,
    rejected: stay,
    timer: "waiting",
    wake: stay,
    resubscribe: stay,
    overflow: stay,
    drained: stay,
    close: "closed",
  },
  connecting: {
    start: stay,
    token: stay,
    hello: "replaying",
    caughtUp: stay,
    later: "held",
    failed: "waiting",
    stale: "authorizing",
    refused: "unauthorized",
    reset: "waiting",
    rejected: "closed",
    timer: "waiting",
    wake: stay,
    resubscribe: stay,
    overflow: stay,
    drained: stay,
    close: "closed",
  },
  replaying: {
    start: stay,
    token: stay,
    hello: stay,
    caughtUp: "live",
    later: "held",
    failed: "waiting",
    stale: "authorizing",
    refused: "unauthorized",
    reset: "waiting",
    rejected: "closed",
    timer: "waiting",
    wake: stay,
    resubscribe: "authorizing",
    overflow: "paused",
    drained: stay,
    close: "closed",
  },
  live: {
    start: stay,
    token: stay,
    hello: stay,
    caughtUp: stay,
    later: "held",
    failed: "waiting",
    stale: "authorizing",
    refused: "unauthorized",
    reset: "waiting",
    rejected: "closed",
    timer: "waiting",
    wake: stay,
    resubscribe: "authorizing",
    overflow: "paused",
    drained: stay,
    close: "closed",
  },
  waiting: {
    start: stay,
    token: stay,
    hello: stay,
    caughtUp: stay,
    later: stay,
    failed: stay,
    stale: stay,
    refused: stay,
    reset: stay,
    rejected: stay,
    timer: "authorizing",
    wake: "authorizing",
    resubscribe: stay,
    overflow: stay,
    drained: stay,
    close: "closed",
  },
  held: {
    start: stay,
    token: stay,
    hello: stay,
    caughtUp: stay,
    later: stay,
    failed: stay,
    stale: stay,
    refused: stay,
    reset: stay,
    rejected: stay,
    timer: "authorizing",
    wake: stay,
    resubscribe: stay,
    overflow: stay,
    drained: stay,
    close: "closed",
  },
  unauthorized: {
    start: stay,
    token: stay,
    hello: stay,
    caughtUp: stay,
    later: stay,
    failed: stay,
    stale: stay,
    refused: stay,
    reset: stay,
    rejected: stay,
    timer: "authorizing",
    wake: "authorizing",
    resubscribe: stay,
    overflow: stay,
    drained: stay,
    close: "closed",
  },
  paused: {
    start: stay,
    token: stay,
    hello: stay,
    caughtUp: stay,
    later: stay,
    failed: stay,
    stale: stay,
    refused: stay,
    reset: stay,
    rejected: stay,
    timer: stay,
    wake: stay,
    resubscribe: stay,
    overflow: stay,
    drained: "authorizing",
    close: "closed",
  },
  closed: {
    start: stay,
    token: stay,
    hello: stay,
    caughtUp: stay,
    later: stay,
    failed: stay,
    stale: stay,
    refused: stay,
    reset: stay,
    rejected: stay,
    timer: stay,
    wake: stay,
    resubscribe: stay,
    overflow: stay,
    drained: stay,
    close: stay,
  },
};
