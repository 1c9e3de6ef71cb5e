/** The position in each feed: sent when the client reconnects, and compared to detect duplicates. */
import type { Position } from "../events.ts";

/** The limit of SubscribeRequest. */
const maxPositions = 128;

/** One position per feed. */
export class Positions {
  readonly #positions = new Map<string, { readonly epoch: number; readonly seq: bigint }>();

  /** Whether the position is at or before the one of its feed, in the same epoch. */
  includes({ feed, epoch, seq }: Position): boolean {
    const known = this.#positions.get(feed);
    return known !== undefined && known.epoch === epoch && BigInt(seq) <= known.seq;
  }

  /** Advances to these positions, never back; a position of another epoch replaces the old one. */
  advance(positions: readonly Position[]): void {
    for (const position of positions) {
      if (this.includes(position)) continue;
      this.#positions.set(position.feed, { epoch: position.epoch, seq: BigInt(position.seq) });
    }
  }

  /** Whether there is a position of the feed. */
  has(feed: string): boolean {
    return this.#positions.has(feed);
  }

  /** Forgets one feed, or all. */
  forget(feed?: string): void {
    if (feed === undefined) this.#positions.clear();
    else this.#positions.delete(feed);
  }

  /** All positions. */
  list(): Position[] {
    return [...this.#positions].map(([feed, { epoch, seq }]) => ({ feed, epoch, seq: seq.toString() }));
  }
}

/** Encodes positions for the storage. */
export function formatPositions(positions: readonly Position[]): string {
  return JSON.stringify(positions);
}

/**
 * Decodes the text of formatPositions. Entries that are no positions are ignored, since an older version of the page,
 * or its user, may have written to the storage.
 */
export function parsePositions(text: string | null): Position[] {
  try {
    return (JSON.parse(text ?? "[]") as unknown[]).filter(isPosition).slice(0, maxPositions);
  } catch {
    return [];
  }
}

function isPosition(item: unknown): item is Position {
  const { feed, epoch, seq } = (item ?? {}) as Partial<Record<keyof Position, unknown>>;
  // The operator turns its operand into a uint32.
  const isEpoch = (epoch as number) >>> 0 === epoch;
  return isEpoch && typeof feed === "string" && isFeed.test(feed) && typeof seq === "string" && isSeq(seq);
}

const isFeed = /^(user|tenant|activity|everyone|room\/.*)$/s;

/** Whether a text is a seq: a decimal uint64. */
export function isSeq(seq: string): boolean {
  return /^\d{1,20}$/.test(seq) && BigInt(seq) < 1n << 64n;
}
