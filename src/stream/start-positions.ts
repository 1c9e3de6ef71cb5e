import type { Position } from "../../gen/tidings/v1/message_pb.ts";
import { fail } from "../errors.ts";
import { canonicalRoom, roomFeed, roomOf } from "../rooms/grants.ts";

/** A position that a client gave, and the path of its field. */
export interface StartPosition {
  readonly position: Position;
  readonly field: string;
}

/** Where a stream is to start, by feed. */
export class StartPositions {
  /** Unset when there are none: most streams of a site start now. */
  readonly #given: Map<string, StartPosition> | undefined;
  readonly #count: number;

  constructor(positions: readonly Position[]) {
    if (positions.length > 0) this.#given = new Map();
    positions.forEach((position, index) => {
      const room = roomOf(position.feed);
      const feed = room === undefined ? position.feed : roomFeed("", canonicalRoom(room)).name;
      this.#given?.set(feed, { position, field: `positions[${index}]` });
    });
    this.#count = positions.length;
  }

  get(feed: string): StartPosition | undefined {
    return this.#given?.get(feed);
  }

  /** Throws POSITION_INVALID for a feed with two positions, and for one that the stream does not follow. */
  check(isFollowed: (feed: string) => boolean): void {
    if (!this.#given) return;
    if (this.#given.size < this.#count) {
      throw fail("POSITION_INVALID", "give one position per feed", { field: "positions" });
    }
    for (const [feed, { field }] of this.#given) {
      if (isFollowed(feed)) continue;
      throw fail("POSITION_INVALID", `the stream does not follow ${feed}; leave it out`, { field: `${field}.feed` });
    }
  }
}
