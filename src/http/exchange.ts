/**
 * Converts between Node's requests and responses and those of Connect's handlers. connect-node has functions for this
 * too; for HTTP/1.1 the ones here need fewer listeners, generators and signals for each call
 * (docs/performance.md#publish) and each open stream.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import type { ContextValues } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";

/** A request as Connect's handlers take it. */
export type UniversalRequest = ReturnType<typeof universalRequestFromNodeRequest>;
/** A response as Connect's handlers return it. */
export type UniversalResponse = Parameters<typeof universalResponseToNodeResponse>[0];

/** Converts a request. Its signal fires when the caller goes away before the response is written. */
export function toUniversal(
  request: IncomingMessage,
  response: ServerResponse,
  contextValues: ContextValues,
): UniversalRequest {
  // connect-node maps the HTTP/2 error code with which a peer goes away.
  if ("stream" in request) return universalRequestFromNodeRequest(request, response, undefined, contextValues);
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
    body: new RequestBody(request),
    signal: abort.signal,
    contextValues,
  };
}

/** Writes a response. Throws when the caller has gone away. */
export async function writeResponse(universal: UniversalResponse, response: ServerResponse): Promise<void> {
  const { status, header, body } = universal;
  // Only responses of Connect's unary protocol have a content length, and their body is one chunk.
  if (!header?.has("content-length") || !body) return universalResponseToNodeResponse(universal, response);
  const { value } = await body[Symbol.asyncIterator]().next();
  response.writeHead(status, Object.fromEntries(header)).end(value);
}

/** The body of an HTTP/1.1 request. It has mostly arrived before the first read, which then needs no listeners. */
class RequestBody implements AsyncIterableIterator<Uint8Array> {
  readonly #request: IncomingMessage;

  constructor(request: IncomingMessage) {
    this.#request = request;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const request = this.#request;
    for (;;) {
      const value = request.read() as Uint8Array | null;
      if (value) return { value, done: false };
      if (request.complete && request.readableLength === 0) return { value: undefined, done: true };
      if (request.destroyed) throw request.errored ?? new Error("the request was aborted");
      await readable(request);
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
