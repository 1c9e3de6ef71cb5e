import type { Format } from "./formats.ts";
import type { Frame } from "./frame.ts";

/** Calls at the end of the present turn of the event loop. */
export type Defer = (call: () => void) => void;

/** The machine's event loop. */
export const systemDefer: Defer = (call) => void setImmediate(call);

/** A stream that has something to send. */
export interface Flushable {
  flush(): void;
}

/** What follows after some frames, and their bytes together. */
interface Joint {
  readonly after: Map<Frame, Joint>;
  /** By the index of a format. */
  readonly bytes: (Buffer | undefined)[];
}

/**
 * The turn of a node's event loop: whatever has happened in it is flushed at its end, by one write for each stream. What
 * is joined for one stream is there for all that send the same.
 */
export class FlushQueue {
  readonly #soon: Defer;
  #waiting: Flushable[] = [];
  #flushing = false;
  #joints = new Map<Frame, Joint>();

  /** `soon` calls at the end of the present turn. */
  constructor(soon: Defer) {
    this.#soon = soon;
  }

  /** Flushes the stream at the end of this turn. */
  add(stream: Flushable): void {
    if (this.#waiting.push(stream) === 1) this.#soon(() => this.#flush());
  }

  /** The bytes of all frames, one after another; shared, never to be changed. */
  join(frames: readonly Frame[], format: Format): Buffer {
    const [first] = frames as readonly [Frame];
    if (frames.length === 1) return first.encoded(format);
    // Outside of a flush nobody would drop them again, and what is one stream's own nobody shares.
    if (!this.#flushing || !frames.every(({ shared }) => shared)) return concat(frames, format);
    let after = this.#joints;
    let joint: Joint | undefined;
    for (const frame of frames) {
      joint = after.get(frame);
      if (!joint) {
        joint = { after: new Map(), bytes: [] };
        after.set(frame, joint);
      }
      after = joint.after;
    }
    const { bytes } = joint as Joint;
    bytes[format.index] ??= concat(frames, format);
    return bytes[format.index] as Buffer;
  }

  #flush(): void {
    const streams = this.#waiting;
    this.#waiting = [];
    this.#flushing = true;
    for (const stream of streams) stream.flush();
    this.#flushing = false;
    this.#joints = new Map();
  }
}

function concat(frames: readonly Frame[], format: Format): Buffer {
  return Buffer.concat(frames.map((frame) => frame.encoded(format)));
}
