import type { IncomingMessage, ServerResponse } from "node:http";
import type { Writable } from "node:stream";
import { type ConnectRouter, createConnectRouter, createContextKey, createContextValues } from "@connectrpc/connect";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import type { Logger } from "pino";
import { ChunkedSink } from "../wire/chunked-sink.ts";
import type { FlushQueue } from "../wire/flush-queue.ts";
import type { Enveloped } from "../wire/formats.ts";
import type { Sink } from "../wire/sink.ts";
import { SocketSink } from "../wire/socket-sink.ts";
import { answer, toUniversal } from "./exchange.ts";

/** The transport under a call. */
export interface ConnectionHandle {
  /** The body of the answer: of a stream, shared frames may be written here between what the handler yields. */
  sink(format: Enveloped, turn: FlushQueue): Sink;
  /** Cuts it, when its reader takes nothing any more: the HTTP/2 stream, or the HTTP/1.1 connection. */
  destroy(): void;
}

/** The transport under a call; unset when another adapter serves it. */
export const connectionKey = createContextKey<ConnectionHandle | undefined>(undefined);

/** What to serve. */
export interface AdapterOptions {
  readonly routes: (router: ConnectRouter) => void;
  /** Answers requests for other paths. */
  readonly fallback: (request: IncomingMessage, response: ServerResponse) => void;
  readonly logger: Logger | undefined;
}

/** A peer that goes away in the middle of an answer is no event worth a line. */
const disconnects = new Set([
  "ECONNRESET",
  "EPIPE",
  "ECANCELED",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_PREMATURE_CLOSE",
  "ERR_STREAM_WRITE_AFTER_END",
  "ERR_HTTP2_INVALID_STREAM",
  "ERR_HTTP2_STREAM_ERROR",
]);

/** Whether an error says only that the peer is gone. */
export function isDisconnect(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  return disconnects.has(String(cause?.code ?? code));
}

/**
 * Serves Connect routes on Node's HTTP servers. Instead of connectNodeAdapter, which prints to the console and gives no
 * way to the connection.
 */
export function createAdapter({
  routes,
  fallback,
  logger,
}: AdapterOptions): (request: IncomingMessage, response: ServerResponse) => void {
  const router = createConnectRouter({ acceptCompression: [compressionGzip, compressionBrotli] });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    const handler = handlers.get(request.url?.split("?", 1)[0] ?? "");
    if (!handler) return fallback(request, response);
    // Answers are one caller's own, and a stream that a proxy buffers or transforms is no stream.
    response.setHeader("Cache-Control", "private, no-store, no-transform");
    if (handler.method.methodKind !== "unary") response.setHeader("X-Accel-Buffering", "no");
    // A client that is answered before it has sent all may wait until somebody has read the rest; requestMs bounds it.
    response.once("finish", () => {
      if (!request.readableEnded) request.removeAllListeners("readable").resume();
    });
    const values = createContextValues().set(connectionKey, {
      // The compatibility layer of HTTP/2 is no Writable, and the stream beneath it is.
      sink: (format, turn) =>
        "stream" in response
          ? new SocketSink(response.stream as Writable, format.plain, turn)
          : new ChunkedSink(response, format, turn),
      destroy: () => void response.destroy(),
    });
    // A request whose connection has just broken may throw when it is only looked at.
    const call = async () => answer(await handler(toUniversal(request, response, values)), response);
    call().catch((error: unknown) => {
      if (isDisconnect(error) || response.destroyed) return;
      logger?.error({ err: error, method: handler.method.name }, "answer failed");
      response.destroy();
    });
  };
}
