/** The transition table of a client's connection. */

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
  /** The page is in the browser's back-forward cache, without a stream; its return opens one. */
  | "frozen"
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
  /** The page came online, became visible, or returned from the back-forward cache. */
  | "wake"
  /** The page is about to enter the back-forward cache. */
  | "hide"
  /** The caller changed the rooms. */
  | "resubscribe"
  /** The queue of a loop over events() is full. */
  | "overflow"
  /** Every loop over events() has consumed its queue. */
  | "drained"
  /** The caller closed the client. */
  | "close";

/** The moves of a state: one for each signal but those that the state ignores, which are late or mean nothing in it. */
type Moves<Ignored extends Signal = never> = Readonly<Record<Exclude<Signal, Ignored>, TidingsState>>;

/** The signals that mean something only while a stream is open. */
type OfStream =
  | "hello"
  | "caughtUp"
  | "later"
  | "stale"
  | "refused"
  | "reset"
  | "rejected"
  | "resubscribe"
  | "overflow";

/** The moves of every state but the last two. */
const always = { hide: "frozen", close: "closed" } as const;

/** The moves of every state that has a stream. */
const streaming = {
  ...always,
  later: "held",
  failed: "waiting",
  stale: "authorizing",
  refused: "unauthorized",
  reset: "waiting",
  rejected: "closed",
  timer: "waiting",
} as const;

/** The moves of a stream that has had its Hello. */
const greeted = { ...streaming, resubscribe: "authorizing", overflow: "paused" } as const;

/**
 * The next state: `transitions[state][signal]`; a state ignores a signal that its row does not have. A signal that is
 * neither in the row nor among the ignored ones of its type is a compile error.
 */
export const transitions: Readonly<Record<TidingsState, Readonly<Partial<Record<Signal, TidingsState>>>>> = {
  idle: { ...always, start: "authorizing" } satisfies Moves<
    OfStream | "token" | "failed" | "timer" | "wake" | "drained"
  >,
  authorizing: { ...always, token: "connecting", failed: "waiting", timer: "waiting" } satisfies Moves<
    OfStream | "start" | "wake" | "drained"
  >,
  connecting: { ...streaming, hello: "replaying" } satisfies Moves<
    "start" | "token" | "caughtUp" | "wake" | "resubscribe" | "overflow" | "drained"
  >,
  replaying: { ...greeted, caughtUp: "live" } satisfies Moves<"start" | "token" | "hello" | "wake" | "drained">,
  live: greeted satisfies Moves<"start" | "token" | "hello" | "caughtUp" | "wake" | "drained">,
  waiting: { ...always, timer: "authorizing", wake: "authorizing" } satisfies Moves<
    OfStream | "start" | "token" | "failed" | "drained"
  >,
  held: { ...always, timer: "authorizing" } satisfies Moves<
    OfStream | "start" | "token" | "failed" | "wake" | "drained"
  >,
  unauthorized: { ...always, timer: "authorizing", wake: "authorizing" } satisfies Moves<
    OfStream | "start" | "token" | "failed" | "drained"
  >,
  paused: { ...always, drained: "authorizing" } satisfies Moves<
    OfStream | "start" | "token" | "failed" | "timer" | "wake"
  >,
  frozen: { wake: "authorizing", close: "closed" } satisfies Moves<
    OfStream | "start" | "token" | "failed" | "timer" | "hide" | "drained"
  >,
  closed: {} satisfies Moves<Signal>,
};
