/**
 * Rules of the simulated system that can be broken. The first value of each is correct; every other value is a plausible
 * mistake, kept to show that the simulation would find it.
 */
export interface Variant {
  /** The read concern by which a node reads the end of a feed before it appends. */
  readonly feedEnd: "majority" | "local";
  /** The read concern of readers. */
  readonly reads: "majority" | "local";
  /** When an append is acknowledged: after a majority has it, or after the primary has it. */
  readonly acknowledge: "majority" | "primary";
  /** The cursor of a feed: a counter, or a timestamp. */
  readonly cursor: "seq" | "time";
  /** What retention leaves of a feed with only old messages: its last document, or nothing. */
  readonly trim: "keep last" | "nothing";
  /** When other nodes are notified of a message: when it is durable, or when it is written. */
  readonly notify: "durable" | "written";
  /** Batches of one feed and node in flight: one, or several. */
  readonly inFlight: "one" | "pipelined";
  /** What a node does about a seq that another node has taken: wait until a majority has it, or skip it. */
  readonly takenSeq: "wait" | "skip";
  /** Whether an append whose view of the feed's end was old is checked against trimmed documents. */
  readonly staleEnd: "checked" | "trusted";
  /** Whether a primary that was deposed, and does not know it yet, answers reads. */
  readonly deposedPrimary: "refuses" | "answers";
  /** Whether a node is notified of notices that it missed. */
  readonly missedNotices: "reported" | "silent";
  /** Whose clock stamps messages and ends their lives: the store's, or that of each node. */
  readonly time: "store" | "node";
}

/** The variant without mistakes. */
export const correct: Variant = {
  feedEnd: "majority",
  reads: "majority",
  acknowledge: "majority",
  cursor: "seq",
  trim: "keep last",
  notify: "durable",
  inFlight: "one",
  takenSeq: "wait",
  staleEnd: "checked",
  deposedPrimary: "refuses",
  missedNotices: "reported",
  time: "store",
};
