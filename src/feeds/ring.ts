import type { MessageFrame } from "../wire/frame.ts";

/** What a cursor took from one place to another. */
export interface Taken {
  readonly frames: readonly MessageFrame[];
  /** The seq up to which the Store has to be read before any more: the reader fell off the ring, or a notice was lost. */
  readonly missing: number | undefined;
  /** Where the cursor stood, and how much it wanted. */
  readonly place: number;
  readonly seq: number;
  readonly limit: number;
  /** Where it stands now. */
  readonly nextPlace: number;
  readonly nextSeq: number;
}

/** Frames that a ring holds at most, and their bytes: a reader that falls behind them reads from the Store. */
const maxFrames = 256;
const maxBytes = 256 * 1024;

/** The recent frames of one feed, shared by all its subscriptions. A place in it is a number that only grows. */
export class Ring {
  #frames: MessageFrame[] = [];
  #bytes = 0;
  #first = 0;
  #head = 0;
  #epoch = 0;
  /** What was taken last, for all who stand at the same place; only until something changes. */
  taken: Taken | undefined;

  /** The last seq that the feed is known to have, here or in the Store; 0 when nothing is known. */
  get head(): number {
    return this.#head;
  }

  /** The place of the oldest frame still held. */
  get first(): number {
    return this.#first;
  }

  /** The place that the next frame will have. */
  get end(): number {
    return this.#first + this.#frames.length;
  }

  /** Bytes that its frames hold in memory, about. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The frame at a place from `first` to `end` - 1. */
  at(place: number): MessageFrame {
    return this.#frames[place - this.#first] as MessageFrame;
  }

  /**
   * The place after the last frame up to this seq: what comes after it needs no read of the store, as far as the ring
   * reaches. Frames of another life of the feed are no part of this one.
   */
  after(seq: number, epoch: number): number {
    for (let place = this.end; place > this.#first; place--) {
      const frame = this.at(place - 1);
      if (frame.seq !== 0 && (frame.seq <= seq || frame.epoch !== epoch)) return place;
    }
    return this.#first;
  }

  /** Adds the newest frame, and drops the oldest ones beyond the bounds. */
  push(frame: MessageFrame): void {
    this.taken = undefined;
    this.#frames.push(frame);
    this.#bytes += frame.cost;
    if (frame.seq !== 0) this.reach(frame.seq, frame.epoch);
    let dropped = 0;
    while (this.#frames.length - dropped > maxFrames || (this.#bytes > maxBytes && dropped < this.#frames.length - 1)) {
      this.#bytes -= this.at(this.#first + dropped).cost;
      dropped++;
    }
    if (dropped === 0) return;
    this.#frames = this.#frames.slice(dropped);
    this.#first += dropped;
  }

  /** The feed is up to here; answers whether that is news. In another life of it, counting starts anew. */
  reach(seq: number, epoch: number): boolean {
    if (epoch === this.#epoch && seq <= this.#head) return false;
    this.#epoch = epoch;
    this.#head = seq;
    this.taken = undefined;
    return true;
  }

  /** Some of the frames may have been recalled meanwhile: readers who have not sent them yet ask the Store. */
  doubt(): void {
    this.taken = undefined;
    for (const frame of this.#frames) frame.doubtful = true;
  }

  /** Marks frames as recalled, so that readers who have not sent them yet skip them. */
  recall(ids: ReadonlySet<string>): void {
    for (const frame of this.#frames) {
      if (ids.has(frame.id)) frame.recalled = true;
    }
  }
}
