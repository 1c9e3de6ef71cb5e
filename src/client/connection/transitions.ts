/**
 * The transition table of a client's connection: every state, every signal, one cell each. The types make a missing cell
 * an error of compilation, so that "that cannot happen here" is always written down.
 */

/** Where a client is. */
export type TidingsState =
  /** Made, and reading the kept positions. */
  | "idle"
  /** Asking the token function. */
  | "authorizing"
  /** Opening a stream, until its Hello. */
  | "connecting"
  /** Receiving what was missed. */
  | "replaying"
  /** Receiving what happens. */
  | "live"
  /** Between two attempts, after a failure; `online` and `visibilitychange` end it. */
  | "waiting"
  /** Between two attempts, for as long as the server asked; nothing ends it early. */
  | "held"
  /** Between two attempts, after a fresh token was refused; `online` and `visibilitychange` end it. */
  | "unauthorized"
  /** The loop over events() fell behind; goes on when it has caught up. */
  | "paused"
  /** Ended by close() or by an error that no repetition can heal. */
  | "closed";

/** What can happen to a client, as the table sees it. */
export type Signal =
  /** The kept positions were read. */
  | "start"
  /** The token function answered. */
  | "token"
  /** The stream's first event came. */
  | "hello"
  /** All that was missed has been sent. */
  | "caughtUp"
  /** The server named a time to come back: go_away, or an error with RetryInfo. */
  | "later"
  /** The stream or the token function failed in a way that may pass. */
  | "failed"
  /** A token was refused, for the first time since the connection was healthy: it has grown old. */
  | "stale"
  /** A token was refused again. */
  | "refused"
  /** The server refused the positions, which are forgotten by now. */
  | "reset"
  /** The server refused the subscription itself. */
  | "rejected"
  /** The state's timer ran out: token, Hello or heartbeat overdue, or a wait at its end. */
  | "timer"
  /** The page came online or into view. */
  | "wake"
  /** The caller asks for other rooms. */
  | "resubscribe"
  /** A loop over events() is too far behind. */
  | "overflow"
  /** Every loop over events() has consumed all it was given. */
  | "drained"
  /** The caller ended it. */
  | "close";

/** A cell that changes nothing: the signal is late, or says nothing in this state. */
export const stay = "stay";

/** What follows: `transitions[state][signal]`. */
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
