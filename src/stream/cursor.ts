import { create } from "@bufbuild/protobuf";
import { type Position, PositionSchema } from "../../gen/tidings/v1/message_pb.ts";
import { type Gap, GapSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { fail } from "../errors.ts";
import type { NamedFeed } from "../feeds/feed.ts";
import type { Ring, Taken } from "../feeds/ring.ts";
import type { FeedBounds } from "../ports/store.ts";
import type { MessageFrame } from "../wire/frame.ts";

/** Bytes that are taken at once, but for the last message. */
const maxBytes = 64 * 1024;
const endless = Number.POSITIVE_INFINITY;

/** A subscription's place in one feed: all up to `seq` has been sent, or left out for a reason. */
export class Cursor {
  readonly feed: NamedFeed;
  readonly #ring: Ring;
  /** Place in the ring up to which it has been looked through. */
  #place: number;
  /** The ring's end when it was made: what is not kept and came before is not for it. */
  readonly #begin: number;
  /** The head when it started: what was missed up to here comes before anything live. */
  #missed = 0;
  epoch = 0;
  seq = 0;

  /** To be made when the feed is followed, before its head is read: nothing can slip between the two. */
  constructor(feed: NamedFeed, ring: Ring) {
    this.feed = feed;
    this.#ring = ring;
    this.#begin = ring.end;
    this.#place = ring.end;
  }

  /** Whether the ring has something that was not looked at. */
  get isBehind(): boolean {
    return this.#place < this.#ring.end;
  }

  /** Where it is, as the client is told. */
  get position(): Position {
    return create(PositionSchema, { feed: this.feed.name, epoch: this.epoch, seq: String(this.seq) });
  }

  /**
   * Starts after the client's position, or now without one. Answers with a gap when what lies between cannot be sent.
   * Throws POSITION_IN_FUTURE.
   */
  start(head: FeedBounds, given: { position: Position; field: string } | undefined): Gap | undefined {
    this.epoch = head.epoch;
    this.seq = head.seq;
    this.#missed = head.seq;
    if (!given) return undefined;
    const { position, field } = given;
    // Epoch 0 is never given out, so it can stand for the present one.
    if (position.epoch !== head.epoch && position.epoch !== 0)
      return create(GapSchema, { from: position, to: this.position });
    const seq = Number(position.seq);
    if (seq > head.seq) {
      const sentence = `the feed ${this.feed.name} is only at ${head.seq}; subscribe without it and list what you missed`;
      throw fail("POSITION_IN_FUTURE", sentence, { field, metadata: { head: String(head.seq) } });
    }
    this.seq = seq;
    const gap = this.skipTrimmed(head);
    this.#place = Math.min(this.#place, this.#ring.after(this.seq, this.epoch));
    return gap;
  }

  /** Moves past what retention has trimmed, and answers with that gap. */
  skipTrimmed(head: FeedBounds): Gap | undefined {
    if (this.seq >= head.tail - 1) return undefined;
    const from = this.position;
    this.seq = head.tail - 1;
    return create(GapSchema, { from, to: this.position });
  }

  /**
   * Takes from the ring what comes next, at most `limit` frames and none beyond `upTo`. `missing` is the seq up to which
   * the Store has to be read first: the reader fell off the ring, or a notice was lost or may have been. What one cursor
   * took is there for all others that stand at the same place.
   */
  take(limit: number, upTo: number): Taken {
    const shared = upTo === endless && this.seq >= this.#missed && this.#place >= this.#begin;
    const known = this.#ring.taken;
    if (shared && known && known.place === this.#place && known.seq === this.seq && known.limit === limit) {
      this.#place = known.nextPlace;
      this.seq = known.nextSeq;
      return known;
    }
    const { seq } = this;
    const place = this.#place;
    const found = this.#look(limit, upTo);
    const taken = { ...found, place, seq, limit, nextPlace: this.#place, nextSeq: this.seq };
    if (shared) this.#ring.taken = taken;
    return taken;
  }

  #look(limit: number, upTo: number): Pick<Taken, "frames" | "missing"> {
    const frames: MessageFrame[] = [];
    let bytes = 0;
    this.#place = Math.max(this.#place, this.#ring.first);
    for (; this.#place < this.#ring.end && frames.length < limit && bytes < maxBytes; this.#place++) {
      const frame = this.#ring.at(this.#place);
      if (frame.seq !== 0) {
        if (frame.seq <= this.seq) continue;
        if (frame.seq > upTo) break;
        if (frame.doubtful) return { frames, missing: frame.seq };
        if (frame.seq > this.seq + 1) return { frames, missing: frame.seq - 1 };
        this.seq = frame.seq;
      } else if (this.#place < this.#begin) {
        continue;
      } else if (this.seq < this.#missed) {
        return { frames, missing: this.#missed };
      }
      frames.push(frame);
      bytes += frame.size;
    }
    const known = Math.min(this.#ring.head, upTo);
    // The notice of the last message was lost, and no frame comes after it that would show the gap.
    return { frames, missing: this.#place === this.#ring.end && this.seq < known ? known : undefined };
  }
}
