/**
 * Converts between Node's requests and responses and those of Connect's handlers. connect-node has functions for this
 * too; for HTTP/1.1 the ones here need fewer listeners, generators and signals for each call
 * (docs/performance.md#publish) and each open stream.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type ServerHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import { Code, ConnectError, type ContextValues } from "@connectrpc/connect";
import { readAllBytes } from "@connectrpc/connect/protocol";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { type BodyCount, smallBody } from "./in-flight.ts";

/** The compressions of requests and responses, in order of preference. */
export const acceptCompression = [compressionGzip, compressionBrotli];

/** A request as Connect's handlers take it. */
export type UniversalRequest = ReturnType<typeof universalRequestFromNodeRequest>;
/** A response as Connect's handlers return it. */
export type UniversalResponse = Parameters<typeof universalResponseToNodeResponse>[0];

/**
 * Converts a request, whose body is counted while it arrives. Its signal fires when the caller goes away before the response
 * is written.
 */
export function toUniversal(
  request: IncomingMessage,
  response: ServerResponse,
  contextValues: ContextValues,
  count: BodyCount,
): UniversalRequest {
  if ("stream" in request) {
    // connect-node maps the HTTP/2 error code with which a peer goes away.
    const universal = universalRequestFromNodeRequest(request, response, undefined, contextValues);
    if (count.isSmall) return universal;
    return { ...universal, body: new CountedBody(universal.body as AsyncIterable<Uint8Array>, count) };
  }
  const { headers, httpVersion, method = "", url = "" } = request;
  const abort = new AbortController();
  request.once("error", (error) => abort.abort(error));
  onGone(request, response, (reason) => abort.abort(reason));
  const scheme = (request.socket as Partial<TLSSocket>).encrypted ? "https" : "http";
  return {
    httpVersion,
    method,
    url: `${scheme}://${headers.host}${url}`,
    header: new Headers(headers as Record<string, string>),
    body: new RequestBody(request, count),
    signal: abort.signal,
    contextValues,
  };
}

/** The codes of resets that are no error of a call. */
const harmless: ReadonlySet<number> = new Set([constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_STREAM_CLOSED]);

/**
 * Calls `gone` when the connection closes before the response is written, or when the stream of HTTP/2 closes. `reason` is the
 * error that closed it, undefined for none.
 */
export function onGone(request: IncomingMessage, response: ServerResponse, gone: (reason: unknown) => void): void {
  const stream = "stream" in request ? (request.stream as ServerHttp2Stream) : undefined;
  response.on("close", () => {
    if (!stream) {
      if (!response.writableEnded) gone(request.errored ?? undefined);
      return;
    }
    const { rstCode = constants.NGHTTP2_NO_ERROR } = stream;
    const isReset = !harmless.has(rstCode) && rstCode <= constants.NGHTTP2_HTTP_1_1_REQUIRED;
    gone(isReset ? new ConnectError("the stream was reset", Code.Canceled) : undefined);
  });
}

/**
 * Reads the body of a request, whose `length` is undefined if it is not known. Returns a promise if the body has not arrived
 * yet. Throws, or rejects, when the body is larger than `maxBytes`, or is refused.
 */
export function readBody(
  request: IncomingMessage,
  count: BodyCount,
  length: number | undefined,
  maxBytes: number,
): Uint8Array | Promise<Uint8Array> {
  if ("stream" in request) {
    return readAllBytes(count.isSmall ? request : new CountedBody(request, count), maxBytes, length ?? null);
  }
  const body = new RequestBody(request, count);
  return body.whole(length, Math.min(maxBytes, smallBody)) ?? readAllBytes(body, maxBytes, length ?? null);
}

/** Reads the end of an HTTP/1.1 request after `readBody`, so that Node emits `end` and releases the request. */
export function endBody(request: IncomingMessage): void {
  if (!("stream" in request) && !request.readableEnded) request.read();
}

/** Counts a body while it arrives. Not a generator, which would cost more for each call. */
class CountedBody implements AsyncIterableIterator<Uint8Array> {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #count: BodyCount;

  constructor(body: AsyncIterable<Uint8Array>, count: BodyCount) {
    this.#iterator = body[Symbol.asyncIterator]();
    this.#count = count;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const result = await this.#count.until(this.#iterator.next());
    if (result.done) {
      this.#count.done();
      return { value: undefined, done: true };
    }
    const room = this.#count.take(result.value.length);
    if (room) await room;
    return result;
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    await this.#iterator.return?.();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Bytes of an answer that are written at a time, so that its progress can be seen: the least that a slow peer must take. */
const sliceBytes = 64 * 1024;

/** Called with the bytes of an answer that its peer has not taken. Returns what to call when it has taken a part. */
export type Unread = (bytes: number) => () => void;

/** Writes the response of a unary call. Throws when the caller has gone away. */
export async function writeUnary(
  universal: UniversalResponse,
  response: ServerResponse,
  unread: Unread,
): Promise<void> {
  const { status, header, body, trailer } = universal;
  const bytes = body && (await readAll(body, header?.has("content-length") ?? false));
  response.writeHead(status, header ? Object.fromEntries(header) : {});
  if (trailer) response.addTrailers(Object.fromEntries(trailer));
  await writeBody(response, bytes, bytes?.length ?? 0, unread);
}

/** Writes the body of a response, of `length` bytes, and ends it. Throws, or rejects, when the caller has gone away. */
export function writeBody(
  response: ServerResponse,
  body: Uint8Array | string | undefined,
  length: number,
  unread: Unread,
): Promise<void> | undefined {
  if (body !== undefined && length > sliceBytes) {
    return writeSlices(response, typeof body === "string" ? Buffer.from(body) : body, unread);
  }
  response.end(body);
  // Over HTTP/1.1, the kernel has mostly taken the answer by now.
  const isTaken = !("stream" in response) && !response.socket?.writableLength;
  if (!isTaken && !isGone(response)) unread(length);
  return undefined;
}

async function writeSlices(response: ServerResponse, bytes: Uint8Array, unread: Unread): Promise<void> {
  if (isGone(response)) return;
  const progress = unread(bytes.length);
  for (let at = 0; at < bytes.length; at += sliceBytes) {
    if (!response.write(bytes.subarray(at, at + sliceBytes))) await drained(response);
    if (isGone(response)) return;
    progress();
  }
  response.end();
}

/** Writes the response of a stream. Throws when the caller has gone away. */
export function writeStream(universal: UniversalResponse, response: ServerResponse): Promise<void> {
  return universalResponseToNodeResponse(universal, response);
}

/** `isOne`: the body is one chunk, as where the content length is known, which only Connect's unary protocol does. */
async function readAll(body: AsyncIterable<Uint8Array>, isOne: boolean): Promise<Uint8Array | undefined> {
  if (isOne) return (await body[Symbol.asyncIterator]().next()).value;
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return chunks.length > 1 ? Buffer.concat(chunks) : chunks[0];
}

/** Reports whether the peer has gone away. The layer for HTTP/2 knows this of its stream only. */
export function isGone(response: ServerResponse): boolean {
  if (!("stream" in response)) return response.destroyed;
  const stream = response.stream as ServerHttp2Stream | undefined;
  return stream === undefined || stream.destroyed || stream.closed;
}

/** Resolves when the response takes more, or has closed. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.on("drain", done).on("close", done);
  });
}

/** The body of an HTTP/1.1 request. It has mostly arrived before the first read, which then needs no listeners. */
export class RequestBody implements AsyncIterableIterator<Uint8Array> {
  readonly #request: IncomingMessage;
  readonly #count: BodyCount;

  constructor(request: IncomingMessage, count: BodyCount) {
    this.#request = request;
    this.#count = count;
  }

  /**
   * Returns the body if it has arrived whole, is not empty and has at most `maxBytes`; otherwise, iterate it. A body of known
   * length may be whole before Node has seen its end, so call `endBody` afterwards.
   */
  whole(length: number | undefined, maxBytes: number): Uint8Array | undefined {
    const request = this.#request;
    const { readableLength } = request;
    if (readableLength > maxBytes || !(request.complete || readableLength === length)) return undefined;
    const value = request.read() as Uint8Array | null;
    if (value) this.#count.done();
    return value ?? undefined;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const request = this.#request;
    for (;;) {
      const value = request.read() as Uint8Array | null;
      if (value) {
        const room = this.#count.take(value.length);
        if (room) await room;
        return { value, done: false };
      }
      if (request.complete && request.readableLength === 0) {
        this.#count.done();
        return { value: undefined, done: true };
      }
      if (request.destroyed) throw request.errored ?? new Error("the request was aborted");
      await this.#count.until(readable(request));
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Resolves when the request has more to read, or has closed. */
function readable(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      request.off("readable", done).off("close", done);
      resolve();
    };
    request.on("readable", done).on("close", done);
  });
}
