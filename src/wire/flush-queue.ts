import { guard, type Report, warn } from "../util/guard.ts";
import type { Format } from "./formats.ts";
import type { Frame } from "./frame.ts";

/** Makes a call at the end of the present event-loop tick. */
export type Defer = (call: () => void) => void;

/** The machine's event loop. */
export const systemDefer: Defer = (call) => void setImmediate(call);

/** A stream with something to send. */
export interface Flushable {
  /** Called once for each `FlushQueue.add`. */
  flush(): void;
  /** Called with the error that `flush` threw, which concerns this stream alone. Without it, the error is reported. */
  failed?(error: unknown): void;
}

/** A sequence of frames in a trie: its joined bytes, and the sequences that continue it. */
interface Joint {
  readonly after: Map<Frame, Joint>;
  /** By `Format.index`. */
  readonly bytes: (Buffer | undefined)[];
}

/**
 * The streams of a node with something to send. At the end of the event-loop tick each is flushed by one write, however
 * many messages came in that tick, and streams that send the same frames share the joined bytes.
 */
export class FlushQueue {
  readonly #defer: Defer;
  readonly #report: Report;
  #waiting: Flushable[] = [];
  #afterwards: (() => void)[] = [];
  #scheduled = false;
  #flushing = false;
  #joints = new Map<Frame, Joint>();
  /** The joined bytes of shared arrays of frames, by `Format.index`. */
  #shared = new Map<readonly Frame[], (Buffer | undefined)[]>();

  /** `defer` flushes the queue; tests and simulations pass their own. `report`: called with errors that no stream takes. */
  constructor(defer: Defer, report: Report = warn) {
    this.#defer = defer;
    this.#report = report;
  }

  /** Flushes the stream at the end of this tick, after those that were added before. */
  add(stream: Flushable): void {
    this.#waiting.push(stream);
    this.#schedule();
  }

  /** Makes a call when all streams of this tick are flushed; called during a flush, at the end of that one. */
  afterFlush(call: () => void): void {
    this.#afterwards.push(call);
    if (!this.#flushing) this.#schedule();
  }

  /** Called during a flush: the same array is joined for many streams, and its bytes are kept until the end of the flush. */
  share(frames: readonly Frame[]): void {
    this.#shared.set(frames, []);
  }

  /** The bytes of all frames, which are at least one, one after another. The buffer is shared: do not change it. */
  join(frames: readonly Frame[], format: Format): Buffer {
    const [first] = frames as readonly [Frame];
    if (frames.length === 1) return first.encoded(format);
    const shared = this.#shared.get(frames);
    if (shared) {
      shared[format.index] ??= concat(frames, format);
      return shared[format.index] as Buffer;
    }
    // Joints are freed after a flush, so outside of one they would leak. Frames of one stream alone are not shared.
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

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#defer(() => this.#flush());
  }

  #flush(): void {
    const streams = this.#waiting;
    this.#waiting = [];
    this.#scheduled = false;
    this.#flushing = true;
    for (const stream of streams) {
      try {
        stream.flush();
      } catch (error) {
        this.#fail(stream, error);
      }
    }
    this.#flushing = false;
    if (this.#joints.size > 0) this.#joints = new Map();
    if (this.#shared.size > 0) this.#shared = new Map();
    const afterwards = this.#afterwards;
    this.#afterwards = [];
    for (const call of afterwards) guard(this.#report, call);
  }

  /** This call runs at the end of an event-loop tick, where an error would end the process. */
  #fail(stream: Flushable, error: unknown): void {
    if (stream.failed) guard(this.#report, () => stream.failed?.(error));
    else this.#report(error);
  }
}

function concat(frames: readonly Frame[], format: Format): Buffer {
  return Buffer.concat(frames.map((frame) => frame.encoded(format)));
}
