import type { MessageFrame } from "../wire/frame.ts";

/** What a cursor took from a ring, and the position before and after. */
export interface Taken {
  readonly frames: readonly MessageFrame[];
  /** Set when the Store has to be read up to this seq first: the reader fell off the ring, or a notice was lost. */
  readonly missing: number | undefined;
  /** The cursor's position before, and the number of frames that it asked for. */
  readonly slot: number;
  readonly seq: number;
  readonly limit: number;
  /** The cursor's position afterwards. */
  readonly nextSlot: number;
  readonly nextSeq: number;
}

/** The most frames that a ring holds, and the most memory; a reader that falls behind reads from the Store. */
const maxFrames = 256;
const maxBytes = 256 * 1024;

/** The recent frames of one feed, shared by all streams that follow it. Slots are numbered; the numbers only grow. */
export class Ring {
  #frames: MessageFrame[] = [];
  #bytes = 0;
  #first = 0;
  #lastSeq = 0;
  #epoch = 0;
  /** What a cursor took last, for other cursors at the same position; unset when something changes. */
  taken: Taken | undefined;

  /** The last seq that the feed is known to have, here or in the Store; 0 when nothing is known. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** The slot of the oldest frame. */
  get first(): number {
    return this.#first;
  }

  /** The slot of the next frame to be pushed. */
  get end(): number {
    return this.#first + this.#frames.length;
  }

  /** Bytes of memory that the frames take, estimated. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The frame in a slot from `first` to `end` - 1. */
  at(slot: number): MessageFrame {
    return this.#frames[slot - this.#first] as MessageFrame;
  }

  /**
   * The slot after the last frame up to `seq`: as far as the ring reaches, a reader at `seq` continues there without the
   * Store. Frames of another epoch do not count, for they belong to a feed that was rebuilt since.
   */
  slotAfter(seq: number, epoch: number): number {
    for (let slot = this.end; slot > this.#first; slot--) {
      const frame = this.at(slot - 1);
      if (frame.seq !== 0 && (frame.seq <= seq || frame.epoch !== epoch)) return slot;
    }
    return this.#first;
  }

  /** Adds the newest frame, and drops the oldest beyond the limits; the newest is kept whatever its size. */
  push(frame: MessageFrame): void {
    this.taken = undefined;
    this.#frames.push(frame);
    this.#bytes += frame.cost;
    if (frame.seq !== 0) this.advance(frame.seq, frame.epoch);
    let dropped = 0;
    while (this.#frames.length - dropped > maxFrames || (this.#bytes > maxBytes && dropped < this.#frames.length - 1)) {
      this.#bytes -= this.at(this.#first + dropped).cost;
      dropped++;
    }
    if (dropped === 0) return;
    this.#frames = this.#frames.slice(dropped);
    this.#first += dropped;
  }

  /** Notes that the feed reaches `seq`; returns whether that was unknown. In another epoch, `lastSeq` starts over. */
  advance(seq: number, epoch: number): boolean {
    if (epoch === this.#epoch && seq <= this.#lastSeq) return false;
    this.#epoch = epoch;
    this.#lastSeq = seq;
    this.taken = undefined;
    return true;
  }

  /** Marks every frame as possibly recalled, so that readers that have not sent it yet ask the Store. */
  doubt(): void {
    this.taken = undefined;
    for (const frame of this.#frames) frame.doubtful = true;
  }

  /** Marks frames as recalled, so that readers that have not sent them yet skip them. */
  recall(ids: ReadonlySet<string>): void {
    for (const frame of this.#frames) {
      if (ids.has(frame.id)) frame.recalled = true;
    }
  }
}
