/**
 * Converts between Node's requests and responses and those of Connect's handlers. connect-node has functions for this
 * too; for HTTP/1.1 the ones here need fewer listeners, generators and signals for each call
 * (docs/performance.md#publish) and each open stream.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import type { ContextValues } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { BodyCount } from "./in-flight.ts";

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
  response.once("close", () => {
    if (!response.writableEnded) abort.abort(request.errored ?? undefined);
  });
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
  if (!bytes || bytes.length <= sliceBytes) {
    response.end(bytes);
    // Over HTTP/1.1, the kernel has mostly taken the answer by now.
    const isTaken = !("stream" in response) && !response.socket?.writableLength;
    if (!isTaken && !isGone(response)) unread(bytes?.length ?? 0);
    return;
  }
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
class RequestBody implements AsyncIterableIterator<Uint8Array> {
  readonly #request: IncomingMessage;
  readonly #count: BodyCount;

  constructor(request: IncomingMessage, count: BodyCount) {
    this.#request = request;
    this.#count = count;
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
