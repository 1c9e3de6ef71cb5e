import { create } from "@bufbuild/protobuf";
import { type Position, PositionSchema } from "../../gen/tidings/v1/message_pb.ts";
import { type Gap, GapSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { fail } from "../errors.ts";
import type { NamedFeed } from "../feeds/feed.ts";
import { maxTakenBytes, type Ring, type Taken } from "../feeds/ring.ts";
import type { RingBatch } from "../feeds/ring-batch.ts";
import { type FeedBounds, unbounded } from "../ports/store.ts";
import type { MessageFrame } from "../wire/frame.ts";

/** A position that a client gave. */
export interface StartPosition {
  readonly position: Position;
  /** The path of its field in the request, for errors. */
  readonly field: string;
}

/** A stream's position in one feed: every message up to `seq` was sent, or left out for a reason. */
export class Cursor {
  readonly feed: NamedFeed;
  readonly #ring: Ring;
  /** The next slot of the ring to look at. */
  #slot: number;
  /** The ring's end when the cursor was made: live messages in earlier slots are not for this stream. */
  readonly #firstSlot: number;
  /** The feed's last seq when the cursor started: messages up to here are replayed before anything live. */
  #replayEnd = 0;
  epoch = 0;
  seq = 0;

  /** Make the cursor before reading the feed's bounds, so that no message can slip between the two. */
  constructor(feed: NamedFeed, ring: Ring) {
    this.feed = feed;
    this.#ring = ring;
    this.#firstSlot = ring.end;
    this.#slot = ring.end;
  }

  /** The next slot of the ring that the cursor will look at. */
  get slot(): number {
    return this.#slot;
  }

  /** Whether the ring holds frames that the cursor has not looked at. */
  get isBehind(): boolean {
    return this.#slot < this.#ring.end;
  }

  /** Whether the feed is known to have nothing beyond a seq. */
  isEnd(seq: number): boolean {
    return seq >= this.#ring.lastSeq;
  }

  /** Whether everything up to the cursor's start was replayed, so that only live messages follow. */
  get isLive(): boolean {
    return this.seq >= this.#replayEnd;
  }

  /** Moves past a batch that was made at the cursor's position. */
  pass({ end, lastSeq }: Pick<RingBatch, "end" | "lastSeq">): void {
    this.#slot = end;
    this.seq = lastSeq;
  }

  /** The position as the contract writes it. */
  get position(): Position {
    return create(PositionSchema, { feed: this.feed.name, epoch: this.epoch, seq: String(this.seq) });
  }

  /**
   * Starts after the client's position, or at the feed's end without one. Returns a gap when messages in between cannot
   * be sent. Throws POSITION_IN_FUTURE.
   */
  start(bounds: FeedBounds, given: StartPosition | undefined): Gap | undefined {
    this.epoch = bounds.epoch;
    this.seq = bounds.seq;
    this.#replayEnd = bounds.seq;
    if (!given) return undefined;
    const { position, field } = given;
    // No feed has epoch 0, so it can stand for the present one.
    if (position.epoch !== bounds.epoch && position.epoch !== 0)
      return create(GapSchema, { after: position, to: this.position });
    const seq = Number(position.seq);
    if (seq > bounds.seq) {
      const sentence = `the feed ${this.feed.name} is only at ${bounds.seq}; subscribe without it and list what you missed`;
      throw fail("POSITION_IN_FUTURE", sentence, { field, metadata: { head: String(bounds.seq) } });
    }
    this.seq = seq;
    const gap = this.skipTrimmed(bounds);
    this.#slot = Math.min(this.#slot, this.#ring.slotAfter(this.seq, this.epoch));
    return gap;
  }

  /** Moves past messages that retention has trimmed, and returns that gap. */
  skipTrimmed(bounds: FeedBounds): Gap | undefined {
    if (this.seq >= bounds.tail - 1) return undefined;
    const after = this.position;
    this.seq = bounds.tail - 1;
    return create(GapSchema, { after, to: this.position });
  }

  /** Moves past a message that cannot be decoded, and returns the gap that it leaves. */
  skipDamaged(seq: number): Gap {
    this.seq = seq - 1;
    const after = this.position;
    this.seq = seq;
    return create(GapSchema, { after, to: this.position });
  }

  /**
   * Takes the next frames from the ring: at most `limit`, and none beyond `upTo`. `missing` is set when the Store has to
   * be read up to that seq first, because the reader fell off the ring, or a notice was or may have been lost. The result
   * is shared with all cursors at the same position.
   */
  take(limit: number, upTo: number): Taken {
    this.#ring.touch(this.#slot);
    const isShared = upTo === unbounded && this.seq >= this.#replayEnd && this.#slot >= this.#firstSlot;
    const last = this.#ring.taken;
    if (isShared && last && last.slot === this.#slot && last.seq === this.seq && last.limit === limit) {
      this.#slot = last.nextSlot;
      this.seq = last.nextSeq;
      return last;
    }
    const { seq } = this;
    const slot = this.#slot;
    const found = this.#scan(limit, upTo);
    const taken = { ...found, slot, seq, limit, nextSlot: this.#slot, nextSeq: this.seq };
    if (isShared) this.#ring.taken = taken;
    return taken;
  }

  #scan(limit: number, upTo: number): Pick<Taken, "frames" | "missing"> {
    const frames: MessageFrame[] = [];
    let bytes = 0;
    this.#slot = Math.max(this.#slot, this.#ring.first);
    for (; this.#slot < this.#ring.end && frames.length < limit && bytes < maxTakenBytes; this.#slot++) {
      const frame = this.#ring.at(this.#slot);
      if (frame.seq !== 0) {
        if (frame.seq <= this.seq) continue;
        if (frame.seq > upTo) break;
        if (frame.doubtful) return { frames, missing: frame.seq };
        if (frame.seq > this.seq + 1) return { frames, missing: frame.seq - 1 };
        this.seq = frame.seq;
      } else if (this.#slot < this.#firstSlot) {
        continue;
      } else if (this.seq < this.#replayEnd) {
        return { frames, missing: this.#replayEnd };
      }
      frames.push(frame);
      bytes += frame.size;
    }
    // The notice of the last message was lost, and no later frame shows the gap.
    const end = Math.min(this.#ring.lastSeq, upTo);
    return { frames, missing: this.#slot === this.#ring.end && this.seq < end ? end : undefined };
  }
}
