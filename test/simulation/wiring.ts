/**
 * How the parts of a simulated system work together. The first value of each switch is right; every other one is a mistake
 * that looks reasonable, kept so that the simulation can show that it would notice.
 */
export interface Wiring {
  /** Where the next seq of a feed is taken from. */
  readonly head: "majority" | "local";
  /** What readers see of the store. */
  readonly reads: "majority" | "local";
  /** When an append is answered. */
  readonly answer: "majority" | "primary";
  /** What a position counts. */
  readonly cursor: "seq" | "time";
  /** What retention leaves of a feed in which everything is old. */
  readonly trim: "anchor" | "nothing";
  /** When the other nodes are told of a message. */
  readonly announce: "durable" | "written";
  /** Batches of one feed and node that are under way at once. */
  readonly flight: "one" | "pipelined";
  /** What is done about a seq that another node has taken. */
  readonly taken: "wait" | "skip";
  /** What is done about a head that was known long before the answer came. */
  readonly stale: "checked" | "trusted";
  /** Whether a primary that was replaced, and does not know it yet, still answers readers. */
  readonly deposed: "mute" | "answers";
  /** What a node is told about notices that it did not hear. */
  readonly lost: "told" | "silent";
}

/** Everything as it should be. */
export const right: Wiring = {
  head: "majority",
  reads: "majority",
  answer: "majority",
  cursor: "seq",
  trim: "anchor",
  announce: "durable",
  flight: "one",
  taken: "wait",
  stale: "checked",
  deposed: "mute",
  lost: "told",
};
