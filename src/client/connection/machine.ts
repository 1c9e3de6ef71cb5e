/**
 * The connection of a client as a pure state machine. The session feeds it inputs from streams, timers and the token
 * function, and acts on the state that it returns (see session.ts). Nothing here waits, calls back or keeps state.
 */
import { backoffMs, heldMs, isRetrySlot, refusedMs } from "./backoff.ts";
import { type Signal, stay, type TidingsState, transitions } from "./transitions.ts";

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
  /** Failures since a connection was healthy; an end for which the server assigned a retry slot is none. */
  readonly failures: number;
  /** Refusals of a token since a connection was healthy. */
  readonly refusals: number;
  /** The delay of the states waiting, held and unauthorized, in ms. */
  readonly delayMs: number;
}

/** The state of a client before its start. */
export const initialMachine: Machine = { state: "idle", failures: 0, refusals: 0, delayMs: 0 };

/** The age in ms at which a connection is healthy, so that the next failure counts as the first. */
export const healthyAfterMs = 5_000;

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
  const healthy = (input.uptimeMs ?? 0) >= healthyAfterMs;
  const failures = healthy ? 0 : machine.failures;
  const refusals = healthy ? 0 : machine.refusals;
  const signal = signalOf(input, refusals);
  const state = transitions[machine.state][signal];
  if (state === stay) return machine;
  const refused = signal === "stale" || signal === "refused";
  // A client that waits for its retry slot has not failed.
  const failed = refused || state === "waiting" || (state === "held" && !isRetrySlot(input.afterMs ?? 0));
  return {
    state,
    failures: failed ? failures + 1 : failures,
    refusals: refused ? refusals + 1 : refusals,
    delayMs: delayOf(state, failures, input.afterMs ?? 0, fraction),
  };
}

function signalOf(input: Input, refusals: number): Signal {
  if (input.type !== "unauthenticated") return input.type;
  return refusals === 0 ? "stale" : "refused";
}

function delayOf(state: TidingsState, failures: number, afterMs: number, fraction: () => number): number {
  switch (state) {
    case "waiting":
      return backoffMs(failures, fraction());
    case "held":
      return heldMs(Math.min(Math.max(0, afterMs), longestHoldMs), failures, fraction());
    case "unauthorized":
      return refusedMs(fraction());
    default:
      return 0;
  }
}
