import type { ServerResponse } from "node:http";
import type { FlushQueue } from "./flush-queue.ts";
import type { Enveloped, Format } from "./formats.ts";
import type { Frame } from "./frame.ts";
import type { Sink } from "./sink.ts";
import { drained, highWater, SocketSink } from "./socket-sink.ts";

/**
 * A sink on the body of an HTTP/1.1 response. ServerResponse makes three pieces of each write: the size of a chunk, the
 * bytes and an end. Here the chunk is made once for all streams, and is one write to the socket. The response's own writes
 * go to the same socket at once, so the two keep their order.
 */
export class ChunkedSink implements Sink {
  readonly #response: ServerResponse;
  readonly #format: Format;
  readonly #flushQueue: FlushQueue;
  /** For a body without chunks: of HTTP/1.0, or of a response that waits for an earlier one on its connection. */
  readonly #plain: SocketSink;

  constructor(response: ServerResponse, { plain, chunked }: Enveloped, flushQueue: FlushQueue) {
    this.#response = response;
    this.#format = chunked;
    this.#flushQueue = flushQueue;
    this.#plain = new SocketSink(response, plain, flushQueue);
  }

  write(frames: readonly Frame[]): boolean {
    const response = this.#response;
    // After the end of the response its socket may already carry the response to another request.
    if (response.destroyed || response.writableEnded) return true;
    const { socket } = response;
    if (!socket || !response.headersSent || !response.chunkedEncoding) return this.#plain.write(frames);
    socket.write(this.#flushQueue.join(frames, this.#format));
    return socket.writableLength < highWater;
  }

  get queued(): number {
    return this.#response.socket?.writableLength ?? this.#response.writableLength;
  }

  drained(): Promise<void> {
    const { socket } = this.#response;
    return socket?.writableNeedDrain ? drained(socket) : this.#plain.drained();
  }
}
