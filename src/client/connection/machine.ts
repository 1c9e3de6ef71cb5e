/**
 * The connection of a client as a pure state machine. The session feeds it inputs from streams, timers and the token
 * function, and acts on the state that it returns (see session.ts). Nothing here waits, calls back or keeps state.
 */
import { backoffMs, heldMs, isRetrySlot, refusedMs } from "./backoff.ts";
import { type Signal, type TidingsState, transitions } from "./transitions.ts";

/** An input of the machine. */
export interface Input {
  /** The signal; `unauthenticated` stands for `stale` or `refused`, depending on earlier refusals. */
  readonly type: Exclude<Signal, "stale" | "refused"> | "unauthenticated";
  /** The time since the Hello of the stream that ended, in ms; unset if there was no Hello. */
  readonly uptimeMs?: number;
  /** For `later`: the delay that the server named, in ms. */
  readonly afterMs?: number;
}

/** The state of the machine, an immutable value; `step` returns the next one. */
export interface Machine {
  readonly state: TidingsState;
  /** Failures not yet forgotten, at most `maxFailures`; an end for which the server assigned a retry slot is none. */
  readonly failures: number;
  /** Refusals of a token since a connection was healthy. */
  readonly refusals: number;
  /** The delay in ms of the states waiting, held and unauthorized. */
  readonly delayMs: number;
}

/** The state of a client before its start. */
export const initialMachine: Machine = { state: "idle", failures: 0, refusals: 0, delayMs: 0 };

/** The age in ms at which a connection is healthy, so that the next refusal of its token counts as the first. */
export const healthyAfterMs = 1_000;

/** The number of failures at which the back-off has reached its cap; more are not counted. */
export const maxFailures = 6;

/**
 * A stream that ends forgets one failure for each period of this length that it has lived, in ms; so after 3 s none is
 * left. A client whose stream was cut several times in quick succession must not back off for 30 s at the next outage.
 */
export const forgetMs = 500;

/** The longest delay in ms that a server can impose, so that one wrong answer cannot silence a client for days. */
export const longestHoldMs = 300_000;

/**
 * The state after an input; the same object if the input changes nothing. `fraction` returns numbers in [0, 1).
 *
 * No sequence of answers from a server makes a client retry in a tight loop: every path back to `authorizing` includes
 * a delay, with three exceptions. One refused token per healthy connection is replaced at once, `drained` follows only
 * after the caller has consumed a full queue, and `resubscribe` is the caller's own request.
 */
export function step(machine: Machine, input: Input, fraction: () => number): Machine {
  const { uptimeMs = 0, afterMs = 0 } = input;
  const failures = Math.max(0, machine.failures - Math.floor(uptimeMs / forgetMs));
  const refusals = uptimeMs >= healthyAfterMs ? 0 : machine.refusals;
  let signal: Signal;
  if (input.type !== "unauthenticated") signal = input.type;
  else signal = refusals === 0 ? "stale" : "refused";
  const state = transitions[machine.state][signal];
  if (state === undefined) return machine;
  const refused = signal === "stale" || signal === "refused";
  // A client that waits for its retry slot has not failed.
  const failed = refused || state === "waiting" || (state === "held" && !isRetrySlot(afterMs));
  return {
    state,
    failures: failed ? Math.min(failures + 1, maxFailures) : failures,
    refusals: refused ? refusals + 1 : refusals,
    delayMs: delayOf(state, failures, refusals, afterMs, fraction),
  };
}

function delayOf(
  state: TidingsState,
  failures: number,
  refusals: number,
  afterMs: number,
  fraction: () => number,
): number {
  switch (state) {
    case "waiting":
      return backoffMs(failures, fraction());
    case "held":
      return heldMs(Math.min(Math.max(0, afterMs), longestHoldMs), failures, fraction());
    case "unauthorized":
      return refusedMs(refusals, fraction());
    default:
      return 0;
  }
}
