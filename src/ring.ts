import type { MessageFrame } from "./frame.ts";

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
  /** What was taken last, for all who stand at the same place; only until something changes. */
  taken: Taken | undefined;

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

  /** Adds the newest frame, and drops the oldest ones beyond the bounds. */
  push(frame: MessageFrame): void {
    this.taken = undefined;
    this.#frames.push(frame);
    this.#bytes += frame.cost;
    let dropped = 0;
    while (this.#frames.length - dropped > maxFrames || (this.#bytes > maxBytes && dropped < this.#frames.length - 1)) {
      this.#bytes -= this.at(this.#first + dropped).cost;
      dropped++;
    }
    if (dropped === 0) return;
    this.#frames = this.#frames.slice(dropped);
    this.#first += dropped;
  }

  /** Marks frames as recalled, so that readers who have not sent them yet skip them. */
  recall(ids: ReadonlySet<string>): void {
    for (const frame of this.#frames) {
      if (ids.has(frame.id)) frame.recalled = true;
    }
  }
}
