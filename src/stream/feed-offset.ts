import { fail } from "../errors.ts";

/** A position in one feed: after the message with this seq. */
export interface FeedPosition {
  readonly epoch: number;
  readonly seq: number;
}

/** Digits of the largest epoch, a uint32, and of the largest seq. */
const epochDigits = 10;
const seqDigits = 16;
const pattern = /^(\d{10})_(\d{16})$/;
const maxEpoch = 2 ** 32 - 1;

/**
 * Returns a position as one token, which readers pass back as it is. Tokens of one feed sort as text in the order of their
 * positions, and each position has exactly one.
 */
export function formatOffset({ epoch, seq }: FeedPosition): string {
  return `${String(epoch).padStart(epochDigits, "0")}_${String(seq).padStart(seqDigits, "0")}`;
}

/** Returns the position of a token. Throws POSITION_INVALID, with the field that has it, for any other text. */
export function parseOffset(text: string, field: string): FeedPosition {
  const match = pattern.exec(text);
  // NaN for a text that does not match, which no comparison accepts.
  const epoch = Number(match?.[1]);
  const seq = Number(match?.[2]);
  // No feed has epoch 0.
  if (epoch > 0 && epoch <= maxEpoch && seq <= Number.MAX_SAFE_INTEGER) return { epoch, seq };
  throw fail("POSITION_INVALID", "must be -1, now, or an offset that this server has returned", { field });
}

/** The metadata of POSITION_GONE that has the offset at which the feed goes on. */
export const nextOffsetKey = "next_offset";

/** Returns the error of a reader whose next messages are gone. `to`: the position at which the feed goes on. */
export function positionGone(to: { readonly epoch: number; readonly seq: string | number }): Error {
  const next = formatOffset({ epoch: to.epoch, seq: Number(to.seq) });
  const sentence = `messages after it are gone; go on at ${next}, or at -1 for all that is left`;
  return fail("POSITION_GONE", sentence, { field: "offset", metadata: { [nextOffsetKey]: next } });
}
