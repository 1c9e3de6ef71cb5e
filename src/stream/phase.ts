/**
 * The phase of an open stream, which changes as follows:
 *
 *     opening ──────── CaughtUp is written ───────────▶ busy
 *     busy ─────────── nothing is left to do ─────────▶ idle
 *     idle ─────────── wake() ────────────────────────▶ queued
 *     idle ─────────── wake() with a batch ───────────▶ batched
 *     batched ──────── deliver() writes it ───────────▶ idle
 *     batched ──────── wake(), or it does not fit ────▶ queued
 *     queued ───────── flush() writes everything ─────▶ idle
 *     queued ───────── flush() leaves something ──────▶ busy
 *     all of these ─── end(), drain() ────────────────▶ ending
 *     any ──────────── close() ───────────────────────▶ closed
 */
export type Phase =
  /** Until CaughtUp: the loop sends Hello and the missed messages; whatever else becomes due waits. */
  | "opening"
  /** The loop runs a round. */
  | "busy"
  /** The loop waits, and nothing is due. */
  | "idle"
  /** The loop waits, and the flush queue flushes the stream at the end of this event-loop tick. */
  | "queued"
  /** The loop waits, and only new messages of one feed are due: their batch delivers them at the end of this event-loop tick. */
  | "batched"
  /** The loop says go_away if the node drains, and rejects at its next step. */
  | "ending"
  /** Everything that the stream held on the node is freed; the loop rejects at its next step. */
  | "closed";
