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
const maxBytes = 1024 * 1024;
/** One of this many calls of `settle` visits every frame; the others visit the frames that were read since the last call. */
const settlesPerSweep = 16;

/** The most bytes of messages that a stream takes from a ring for one write; the last of them may exceed it. */
export const maxTakenBytes = 64 * 1024;

/** A reader of a ring. */
export interface RingReader {
  /** The next slot that it will look at. */
  readonly slot: number;
}

/** What a ring belongs to. */
export interface RingOptions {
  /** The tenant of the feed; "" for the feed of all tenants. */
  readonly tenant: string;
  /** The readers of the feed on this node. */
  readonly readers: ReadonlySet<RingReader>;
  /**
   * Whether frames go as soon as every reader has passed them: for a feed with few readers, which come back one by one and
   * then read from the Store.
   */
  readonly freesPassed: boolean;
  /** Unset for a ring whose memory nobody counts. */
  readonly budget: TouchListener | undefined;
}

/** The budget, as a ring sees it. */
interface TouchListener {
  /** The ring was used, and is to be settled at the end of the flush. */
  touch(ring: Ring): void;
}

const alone: RingOptions = { tenant: "", readers: new Set(), freesPassed: false, budget: undefined };

/** The recent frames of one feed, shared by all streams that follow it. Slots are numbered; the numbers only grow. */
export class Ring {
  readonly #options: RingOptions;
  #frames: MessageFrame[] = [];
  #bytes = 0;
  #first = 0;
  #lastSeq = 0;
  #epoch = 0;
  #isTouched = false;
  /** The slot of the oldest frame that was read or pushed since the last `settle`. */
  #readFrom = 0;
  #settled = 0;
  /** Bytes of this ring that its budget has counted. Only the budget sets it. */
  countedBytes = 0;
  /** What a cursor took last, for other cursors at the same position; unset when something changes. */
  taken: Taken | undefined;

  constructor(options = alone) {
    this.#options = options;
  }

  /** The tenant of the feed; "" for the feed of all tenants. */
  get tenant(): string {
    return this.#options.tenant;
  }

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

  /** Bytes of memory that the frames take, as of the last `push` or `settle`. */
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
    const slot = this.end;
    this.#frames.push(frame);
    this.#bytes += this.#count(frame);
    if (frame.seq !== 0) this.advance(frame.seq, frame.epoch);
    this.taken = undefined;
    this.#trim();
    this.touch(slot);
  }

  /** The frames from a slot on are being read: they keep their encodings, and the ring counts as used. */
  touch(slot = this.end): void {
    if (slot < this.#readFrom) this.#readFrom = slot;
    if (this.#isTouched || !this.#options.budget) return;
    this.#isTouched = true;
    this.#options.budget.touch(this);
  }

  /** Frees what is not needed after a flush: frames that all readers have passed, those beyond the limits, decoded events. */
  settle(): void {
    const { readers, freesPassed } = this.#options;
    this.#isTouched = false;
    if (freesPassed) {
      let passed = this.end;
      for (const { slot } of readers) passed = Math.min(passed, slot);
      this.#drop(passed - this.#first);
    }
    // Transports that ask for each batch decode frames after the flush, so visit all frames now and then.
    const from = ++this.#settled % settlesPerSweep === 0 ? this.#first : Math.max(this.#readFrom, this.#first);
    for (let slot = from; slot < this.end; slot++) {
      const frame = this.at(slot);
      frame.release();
      this.#bytes -= frame.counted;
      this.#bytes += this.#count(frame);
    }
    this.#readFrom = this.end;
    this.#trim();
  }

  /** Drops every frame: readers read from the Store. */
  clear(): void {
    this.#drop(this.#frames.length);
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

  /** What the frame costs now: it keeps more encodings later. */
  #count(frame: MessageFrame): number {
    frame.counted = frame.cost;
    return frame.counted;
  }

  #trim(): void {
    const count = this.#frames.length;
    let bytes = this.#bytes;
    let dropped = 0;
    while (count - dropped > maxFrames || (bytes > maxBytes && dropped < count - 1)) {
      bytes -= this.at(this.#first + dropped).counted;
      dropped++;
    }
    this.#drop(dropped);
  }

  #drop(count: number): void {
    if (count <= 0) return;
    for (let index = 0; index < count; index++) this.#bytes -= (this.#frames[index] as MessageFrame).counted;
    this.#frames = this.#frames.slice(count);
    this.#first += count;
    this.taken = undefined;
  }
}
