import type { Random } from "../ports/clock.ts";

/** 9 October 2024, from which intervals are counted, in ms since the Unix epoch. */
const startMs = Date.UTC(2024, 9, 9);
const intervalMs = 20_000;
/** The most intervals by which a cursor jumps ahead: an hour. */
const maxJump = 180;

/**
 * Returns the `Stream-Cursor` of a live answer, by which caches tell one poll from the next: the number of the interval, or a
 * later one where the reader has that one already (Durable Streams section 8.1).
 */
export function nextCursor(nowMs: number, given: number | undefined, random: Random): string {
  const current = Math.max(0, Math.floor((nowMs - startMs) / intervalMs));
  if (given === undefined || given < current) return String(current);
  return String(given + 1 + Math.floor(random.fraction() * (maxJump - 1)));
}
