/** How far the feeds have been received: what is given back on reconnect, and what tells a duplicate. */
import type { Position } from "./events.ts";

/** SubscribeRequest takes no more. */
const mostPositions = 128;

/** One place per feed. */
export class Positions {
  readonly #places = new Map<string, { readonly epoch: number; readonly seq: bigint }>();

  constructor(positions: readonly Position[] = []) {
    this.advance(positions);
  }

  /** Whether a message at this place has been received before. */
  includes({ feed, epoch, seq }: Position): boolean {
    const place = this.#places.get(feed);
    return place !== undefined && place.epoch === epoch && BigInt(seq) <= place.seq;
  }

  /** Moves on to these places, never back; a place of another epoch replaces the old one. */
  advance(positions: readonly Position[]): void {
    for (const position of positions) {
      if (this.includes(position)) continue;
      this.#places.set(position.feed, { epoch: position.epoch, seq: BigInt(position.seq) });
    }
  }

  /** Forgets all. */
  clear(): void {
    this.#places.clear();
  }

  /** All places. */
  list(): Position[] {
    return [...this.#places].map(([feed, { epoch, seq }]) => ({ feed, epoch, seq: seq.toString() }));
  }
}

/** The text of positions for a storage. */
export function formatPositions(positions: readonly Position[]): string {
  return JSON.stringify(positions);
}

/**
 * Reads what formatPositions wrote. Whatever is not a position is left out, since a storage is open to others: a page's
 * older version, or its user. So are rooms other than the given ones: the server refuses places of feeds that a stream
 * does not follow.
 */
export function parsePositions(text: string | null, rooms: readonly string[]): Position[] {
  const parsed = readJson(text);
  if (!Array.isArray(parsed)) return [];
  const feeds = new Set(["user", "tenant", "activity", "everyone", ...rooms.map((room) => `room/${room}`)]);
  return parsed.filter((item): item is Position => isPosition(item) && feeds.has(item.feed)).slice(0, mostPositions);
}

function readJson(text: string | null): unknown {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}

function isPosition(item: unknown): boolean {
  if (typeof item !== "object" || item === null) return false;
  const { feed, epoch, seq } = item as Partial<Record<keyof Position, unknown>>;
  return typeof feed === "string" && isEpoch(epoch) && typeof seq === "string" && isSeq(seq);
}

function isEpoch(epoch: unknown): boolean {
  return typeof epoch === "number" && Number.isInteger(epoch) && epoch >= 0 && epoch <= 0xffff_ffff;
}

/** Whether a text is a seq: a decimal uint64. */
export function isSeq(seq: string): boolean {
  return /^\d{1,20}$/.test(seq) && BigInt(seq) < 1n << 64n;
}
