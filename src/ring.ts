import type { MessageFrame } from "./frame.ts";

/** Frames that a ring holds at most, and their bytes: a reader that falls behind them reads from the Store. */
const maxFrames = 256;
const maxBytes = 256 * 1024;

/** The recent frames of one feed, shared by all its subscriptions. A place in it is a number that only grows. */
export class Ring {
  #frames: MessageFrame[] = [];
  #bytes = 0;
  #first = 0;
  #head = 0;

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
    this.#frames.push(frame);
    this.#bytes += frame.cost;
    this.#head = Math.max(this.#head, frame.seq);
    let dropped = 0;
    while (this.#frames.length - dropped > maxFrames || (this.#bytes > maxBytes && dropped < this.#frames.length - 1)) {
      this.#bytes -= this.at(this.#first + dropped).cost;
      dropped++;
    }
    if (dropped === 0) return;
    this.#frames = this.#frames.slice(dropped);
    this.#first += dropped;
  }

  /** The Store has the feed up to here; answers whether that is news. */
  reach(seq: number): boolean {
    if (seq <= this.#head) return false;
    this.#head = seq;
    return true;
  }

  /** Some of the frames may have been recalled meanwhile: readers who have not sent them yet ask the Store. */
  doubt(): void {
    for (const frame of this.#frames) frame.doubtful = true;
  }

  /** Marks frames as recalled, so that readers who have not sent them yet skip them. */
  recall(ids: ReadonlySet<string>): void {
    for (const frame of this.#frames) {
      if (ids.has(frame.id)) frame.recalled = true;
    }
  }
}
