/** How far the feeds have been received: what is given back on reconnect, and what tells a duplicate. */
import type { Position } from "../events.ts";
import { isRoomFeed } from "./rooms.ts";

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

  /** Whether anything of the feed has been received. */
  has(feed: string): boolean {
    return this.#places.has(feed);
  }

  /** Forgets one feed, or all. */
  forget(feed?: string): void {
    if (feed === undefined) this.#places.clear();
    else this.#places.delete(feed);
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
 * older version, or its user.
 */
export function parsePositions(text: string | null): Position[] {
  const parsed = readJson(text);
  if (!Array.isArray(parsed)) return [];
  return parsed.filter(isPosition).slice(0, mostPositions);
}

function readJson(text: string | null): unknown {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}

function isPosition(item: unknown): item is Position {
  if (typeof item !== "object" || item === null) return false;
  const { feed, epoch, seq } = item as Partial<Record<keyof Position, unknown>>;
  return isFeed(feed) && isEpoch(epoch) && typeof seq === "string" && isSeq(seq);
}

function isFeed(feed: unknown): boolean {
  return typeof feed === "string" && (["user", "tenant", "activity", "everyone"].includes(feed) || isRoomFeed(feed));
}

function isEpoch(epoch: unknown): boolean {
  return typeof epoch === "number" && Number.isInteger(epoch) && epoch >= 0 && epoch <= 0xffff_ffff;
}

/** Whether a text is a seq: a decimal uint64. */
export function isSeq(seq: string): boolean {
  return /^\d{1,20}$/.test(seq) && BigInt(seq) < 1n << 64n;
}
