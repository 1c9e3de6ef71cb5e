/**
 * The life of a client's connection as a pure state machine. Streams, timers and the token function sit outside: they
 * feed it inputs and do what the state it answers with says (see session.ts). Nothing here waits, calls or remembers.
 */
import { backoffMs, heldMs, isTurn, refusedMs } from "./backoff.ts";
import { type Signal, stay, type TidingsState, transitions } from "./transitions.ts";

/** What happened, with what the machine must know about it. */
export interface Input {
  /** `unauthenticated` becomes `stale` or `refused`. */
  readonly type: Exclude<Signal, "stale" | "refused"> | "unauthenticated";
  /** How long the stream that ended had been open since its Hello, in ms. Unset: there was no Hello. */
  readonly uptimeMs?: number;
  /** For `later`: when to come back, in ms. */
  readonly afterMs?: number;
}

/** The machine: a value; `step` makes the next one. */
export interface Machine {
  readonly state: TidingsState;
  /** Ends of connections since one was healthy, but for those after which the server gave a turn. */
  readonly failures: number;
  /** Refusals of a token since a connection was healthy. */
  readonly refusals: number;
  /** In waiting, held and unauthorized: how long, in ms. */
  readonly delayMs: number;
}

/** A client before its start. */
export const initialMachine: Machine = { state: "idle", failures: 0, refusals: 0, delayMs: 0 };

/** A connection of this age proves that all is well, so that the next failure is the first one again. In ms. */
export const healthyAfterMs = 5_000;

/** Longer times to come back are cut to this, in ms, so that one wrong answer cannot silence a client for days. */
export const longestHoldMs = 300_000;

/**
 * The machine after an input; the same object if the input changes nothing. `fraction` gives numbers in [0, 1).
 *
 * No chain of answers from a server can make a client hurry: every way back to `authorizing` passes a wait, but for one
 * refused token per healthy connection, for `drained`, which costs the caller a full queue's work, and for `resubscribe`,
 * which is the caller's own wish.
 */
export function step(machine: Machine, input: Input, fraction: () => number): Machine {
  const healthy = (input.uptimeMs ?? 0) >= healthyAfterMs;
  const failures = healthy ? 0 : machine.failures;
  const refusals = healthy ? 0 : machine.refusals;
  const signal = signalOf(input, refusals);
  const state = transitions[machine.state][signal];
  if (state === stay) return machine;
  const refused = signal === "stale" || signal === "refused";
  // Who keeps to the pace that the server sets has not failed.
  const failed = refused || state === "waiting" || (state === "held" && !isTurn(input.afterMs ?? 0));
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
