import { Histogram, sharedMicroseconds } from "../measure/histogram.ts";
import { stampLength } from "../workload/message.ts";

/** A connection with one or more streams. */
export interface Connection {
  /** Resolves when all its streams are subscribed. */
  readonly ready: Promise<void>;
  /** The number of messages of each stream so far. */
  readonly counts: readonly number[];
  /** The bytes received so far, those of the handshake included. */
  readonly bytes: number;
  /** Sends an unsolicited pong, where the protocol has one. */
  keepAlive(): void;
  /** Stops reading, or continues. */
  pause(on: boolean): void;
  close(): void;
}

interface Waiter {
  readonly total: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Streams whose messages are counted together. */
export class Group {
  readonly connections: Connection[] = [];
  readonly times = new Histogram();
  readonly #stamped: boolean;
  #total = 0;
  #waiter: Waiter | undefined;
  #failed: Error | undefined;

  /** `stamped`: messages carry the time of their publish. */
  constructor(stamped: boolean) {
    this.#stamped = stamped;
  }

  /** Counts a message whose timestamp is at this offset. */
  count(chunk: Buffer, stampAt: number): void {
    if (this.#stamped) this.times.add(sharedMicroseconds() - readStamp(chunk, stampAt));
    if (++this.#total === this.#waiter?.total) this.#waiter.resolve();
  }

  /** Resolves when the group has this many messages since it was created. Rejects when a stream breaks. */
  async until(total: number): Promise<void> {
    if (this.#failed) throw this.#failed;
    if (this.#total >= total) return;
    await new Promise<void>((resolve, reject) => {
      this.#waiter = { total, resolve, reject };
    });
  }

  /**
   * The number of messages in total, and of the streams with the fewest and the most: in a total alone, a duplicated
   * message could make up for a lost one. Throws when a stream has broken.
   */
  counts(): { total: number; min: number; max: number } {
    const each = this.each();
    return { total: this.#total, min: Math.min(...each), max: Math.max(...each) };
  }

  /** The number of messages of each stream, in the order in which they were opened. Throws when a stream has broken. */
  each(): number[] {
    if (this.#failed) throw this.#failed;
    return this.connections.flatMap(({ counts }) => counts);
  }

  /** The bytes that all connections have received, those of their handshakes included. */
  bytes(): number {
    return this.connections.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Reports that a stream has broken, after which this group cannot be measured. */
  fail(reason: string): void {
    this.#failed ??= new Error(reason);
    this.#waiter?.reject(this.#failed);
  }
}

/** The time of the publish, in µs, from a message's timestamp. */
function readStamp(chunk: Buffer, at: number): number {
  return Number.parseInt(chunk.toString("latin1", at, at + stampLength), 16);
}
