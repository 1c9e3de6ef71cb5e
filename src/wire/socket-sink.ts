import type { Writable } from "node:stream";
import type { FlushQueue } from "./flush-queue.ts";
import type { Format } from "./formats.ts";
import type { Frame } from "./frame.ts";
import type { Sink } from "./sink.ts";

/** Bytes that wait in a transport before it counts as full: the memory that a slow reader may cost. */
export const highWater = 64 * 1024;

/** A sink on a socket or on the body of a response. Each batch is one write, of bytes that are shared between streams. */
export class SocketSink implements Sink {
  readonly #stream: Writable;
  readonly #format: Format;
  readonly #flushQueue: FlushQueue;

  constructor(stream: Writable, format: Format, flushQueue: FlushQueue) {
    this.#stream = stream;
    this.#format = format;
    this.#flushQueue = flushQueue;
  }

  write(frames: readonly Frame[]): boolean {
    if (this.#stream.destroyed || this.#stream.writableEnded) return true;
    this.#stream.write(this.#flushQueue.join(frames, this.#format));
    return this.#stream.writableLength < highWater;
  }

  get queued(): number {
    return this.#stream.writableLength;
  }

  drained(): Promise<void> {
    return drained(this.#stream);
  }
}

/** Resolves when the stream takes more, or is gone. */
export function drained(stream: Writable): Promise<void> {
  if (stream.destroyed || !stream.writableNeedDrain) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      stream.off("drain", done).off("close", done);
      resolve();
    };
    stream.on("drain", done).on("close", done);
  });
}
