import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import type { Writable } from "node:stream";
import { type ConnectRouter, createConnectRouter, createContextKey, createContextValues } from "@connectrpc/connect";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import type { Logger } from "pino";
import type { AddressList } from "../util/address-list.ts";
import { ChunkedSink } from "../wire/chunked-sink.ts";
import type { FlushQueue } from "../wire/flush-queue.ts";
import type { Enveloped } from "../wire/formats.ts";
import type { Sink } from "../wire/sink.ts";
import { SocketSink } from "../wire/socket-sink.ts";
import { clientAddress } from "./client-address.ts";
import { responseHeaders, streamHeaders } from "./embedded-routes.ts";
import { toUniversal, writeResponse } from "./exchange.ts";
import { valuesOf } from "./raw-headers.ts";

/** The transport under a call. */
export interface ConnectionHandle {
  /** Returns the address of the client, as `clientAddress` does. */
  address(): string | undefined;
  /** A sink into the response body, for frames of a stream beside the messages that its handler yields. */
  sink(format: Enveloped, flushQueue: FlushQueue): Sink;
  /** Identifies the connection, which several calls share over HTTP/2. */
  readonly connection: object;
  /** Cuts the HTTP/2 stream or the HTTP/1.1 connection, for a reader that takes nothing any more. */
  destroy(): void;
}

/** The transport under a call; unset when the server of another program serves it. */
export const connectionKey = createContextKey<ConnectionHandle | undefined>(undefined);

/** What an adapter serves. */
export interface AdapterOptions {
  /** Registers the services. */
  readonly routes: (router: ConnectRouter) => void;
  /** Handles requests for other paths. */
  readonly fallback: (request: IncomingMessage, response: ServerResponse) => void;
  /** Proxies whose word counts about the address of a client. */
  readonly trustedProxies: AddressList;
  /** Logs failures to write a response. */
  readonly logger: Logger | undefined;
}

/** Codes of errors that mean that the peer has gone away, which is not worth a line in the log. */
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

/** Reports whether an error only means that the peer has gone away. */
export function isDisconnect(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  return disconnects.has(String(cause?.code ?? code));
}

/** What people get who call by hand, where Connect answers with a status alone. */
function wordsFor(status: number, isUnary: boolean): string | undefined {
  const type = isUnary ? "application/json" : "application/connect+json";
  if (status === 405) return `use POST, with the header content-type: ${type}`;
  return status === 415
    ? `send the header content-type: ${type}, or that of another protocol of this server`
    : undefined;
}

function refuse(response: ServerResponse, status: number, words: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(`${words}\n`);
}

function isInvalidUrl(error: unknown): boolean {
  return error instanceof TypeError && (error as NodeJS.ErrnoException).code === "ERR_INVALID_URL";
}

/** A request handler for Node's HTTP servers. */
export interface Adapter {
  (request: IncomingMessage, response: ServerResponse): void;
  /** Reports whether a request is for one of the routes, and not for the fallback. */
  serves(request: IncomingMessage): boolean;
}

/**
 * Creates a request handler that serves Connect routes. It replaces connectNodeAdapter, which prints to the console and
 * gives no access to the connection.
 */
export function createAdapter({ routes, fallback, trustedProxies, logger }: AdapterOptions): Adapter {
  const router = createConnectRouter({ acceptCompression: [compressionGzip, compressionBrotli] });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const find = ({ url }: IncomingMessage) => handlers.get(url?.split("?", 1)[0] ?? "");
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const handler = find(request);
    if (!handler) {
      fallback(request, response);
      return;
    }
    const headers = handler.method.methodKind === "unary" ? responseHeaders : streamHeaders;
    for (const name in headers) response.setHeader(name, headers[name] as string);
    // A client that gets its response before it has sent the whole request may wait until the rest is read. Read it;
    // requestMs bounds the time.
    response.once("finish", () => {
      if (!request.readableEnded) request.removeAllListeners("readable").resume();
    });
    const values = createContextValues().set(connectionKey, {
      address: () => clientAddress(request, trustedProxies),
      get connection() {
        return ("stream" in request && (request.stream as ServerHttp2Stream).session) || request.socket;
      },
      // The HTTP/2 compatibility layer is not a Writable, but the stream below it is.
      sink: (format, flushQueue) =>
        "stream" in response
          ? new SocketSink(response.stream as Writable, format.plain, flushQueue)
          : new ChunkedSink(response, format, flushQueue),
      destroy: () => void response.destroy(),
    });
    // Inside the promise, because reading a request whose connection has just broken may throw.
    const call = async () => {
      joinCredentials(request);
      const answer = await handler(toUniversal(request, response, values));
      const words = answer.body ? undefined : wordsFor(answer.status, handler.method.methodKind === "unary");
      if (words === undefined) return writeResponse(answer, response);
      answer.header?.forEach((value, name) => void response.setHeader(name, value));
      return refuse(response, answer.status, words);
    };
    call().catch((error: unknown) => {
      // The Host header makes no URL: the request is at fault, and no handler has seen it.
      if (isInvalidUrl(error) && !response.headersSent) return refuse(response, 400, "the Host header is not a host");
      if (isDisconnect(error) || response.destroyed) return;
      logger?.error({ err: error, method: handler.method.name }, "writing the response failed");
      response.destroy();
    });
  };
  return Object.assign(serve, { serves: (request: IncomingMessage) => find(request) !== undefined });
}

/**
 * Joins repeated Authorization headers, as the values of lists are joined (RFC 9110 section 5.3): Node drops all but the
 * first. The joined value is no credential, so the gate refuses it with an error of the protocol.
 */
function joinCredentials(request: IncomingMessage): void {
  const credentials = valuesOf(request, "authorization");
  if (credentials.length > 1) request.headers.authorization = credentials.join(", ");
}
