import { Histogram, sharedMicroseconds } from "../histogram.ts";
import { stampLength } from "../message.ts";

/** A connection, or several streams on one. */
export interface Peer {
  /** All its streams are subscribed. */
  readonly ready: Promise<void>;
  /** Messages of each of its streams so far. */
  readonly counts: readonly number[];
  /** Says that it is alive, where the protocol lets a client say so unasked. */
  sayAlive(): void;
  /** Stops or goes on reading. */
  pause(on: boolean): void;
  close(): void;
}

interface Waiter {
  readonly total: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Streams that are counted together. */
export class Group {
  readonly peers: Peer[] = [];
  readonly times = new Histogram();
  readonly #stamped: boolean;
  #total = 0;
  #waiter: Waiter | undefined;
  #failed: Error | undefined;

  /** `stamped`: messages carry the time at which they were published. */
  constructor(stamped: boolean) {
    this.#stamped = stamped;
  }

  /** A message whose stamp is at this place. */
  saw(chunk: Buffer, stampAt: number): void {
    if (this.#stamped) this.times.add(sharedMicroseconds() - readStamp(chunk, stampAt));
    if (++this.#total === this.#waiter?.total) this.#waiter.resolve();
  }

  /** Resolves when so many messages have come since the beginning. Throws when a stream has broken. */
  async until(total: number): Promise<void> {
    if (this.#failed) throw this.#failed;
    if (this.#total >= total) return;
    await new Promise<void>((resolve, reject) => {
      this.#waiter = { total, resolve, reject };
    });
  }

  /** Messages in all, and of the streams with the fewest and the most: lost and doubled ones cannot make up for each other. */
  counts(): { total: number; least: number; most: number } {
    const each = this.peers.flatMap(({ counts }) => counts);
    return { total: this.#total, least: Math.min(...each), most: Math.max(...each) };
  }

  /** A stream has broken: nothing more can be measured with this group. */
  fail(reason: string): void {
    this.#failed ??= new Error(reason);
    this.#waiter?.reject(this.#failed);
  }
}

/** When the message at this place was published, in µs. */
function readStamp(chunk: Buffer, at: number): number {
  return Number.parseInt(chunk.toString("latin1", at, at + stampLength), 16);
}
