/**
 * Node's requests and answers as Connect's handlers take them. connect-node has functions for the same; for HTTP/1.1 these
 * here need fewer listeners, generators and signals for each call (docs/performance.md#publish), and for each open stream.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import type { ContextValues } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";

/** A request as Connect's handlers take it. */
export type UniversalRequest = ReturnType<typeof universalRequestFromNodeRequest>;
/** What Connect's handlers answer. */
export type UniversalResponse = Parameters<typeof universalResponseToNodeResponse>[0];

/** The request. Its signal fires when the caller goes away before the answer is written. */
export function toUniversal(
  request: IncomingMessage,
  response: ServerResponse,
  contextValues: ContextValues,
): UniversalRequest {
  // HTTP/2 has codes of its own for who goes away, and why.
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

/** Writes the answer; throws when the caller has gone. */
export async function answer(universal: UniversalResponse, response: ServerResponse): Promise<void> {
  const { status, header, body } = universal;
  // Only the answers to Connect's unary calls say their length, and they are one piece.
  if (!header?.has("content-length") || !body) return universalResponseToNodeResponse(universal, response);
  const { value } = await body[Symbol.asyncIterator]().next();
  response.writeHead(status, Object.fromEntries(header)).end(value);
}

/** The body of a request of HTTP/1.1. Mostly it is there before anybody asks for it, and nothing has to be listened to. */
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
      await arrival(request);
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function arrival(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      request.off("readable", done).off("close", done);
      resolve();
    };
    request.on("readable", done).on("close", done);
  });
}
