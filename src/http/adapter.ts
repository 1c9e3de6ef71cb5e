import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { type ConnectRouter, createConnectRouter, createContextKey, createContextValues } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { AddressList } from "../util/address-list.ts";
import { ChunkedSink } from "../wire/chunked-sink.ts";
import type { FlushQueue } from "../wire/flush-queue.ts";
import type { Enveloped } from "../wire/formats.ts";
import type { Sink } from "../wire/sink.ts";
import { SocketSink } from "../wire/socket-sink.ts";
import { clientAddress } from "./client-address.ts";
import type { Held, InFlightCall } from "./connection-limits.ts";
import { responseHeaders, streamHeaders } from "./embedded-routes.ts";
import { acceptCompression, isGone, toUniversal, type Unread, writeStream, writeUnary } from "./exchange.ts";
import { type BodyCount, type InFlight, largeAnswer } from "./in-flight.ts";
import type { PlainRequest } from "./plain-request.ts";
import { valuesOf } from "./raw-headers.ts";

/** The transport under a call. */
export interface ConnectionHandle {
  /** Returns the address of the client, as `clientAddress` does. */
  address(): string | undefined;
  /** A sink into the response body, for frames of a stream beside the messages that its handler yields. */
  sink(format: Enveloped, flushQueue: FlushQueue): Sink;
  /** Identifies the connection, which several calls share over HTTP/2. */
  readonly connection: object;
  /** The user whose call it is, as a key: the gate sets it, for the bounds of one user. */
  user: string | undefined;
  /**
   * Waits until the user has room on the connection for the answer, where it may be large; the gate calls it once it has set
   * the user. Returns undefined where there is nothing to wait for. Resolves early when the signal of the call fires.
   */
  enter(call: { readonly signal: AbortSignal }): Promise<void> | undefined;
  /** Cuts the HTTP/2 stream or the HTTP/1.1 connection, for a reader that takes nothing any more. */
  destroy(): void;
}

/** The transport under a call; unset when the server of another program serves it. */
export const connectionKey = createContextKey<ConnectionHandle | undefined>(undefined);

/** A call, as a short handler sees it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly handle: ConnectionHandle;
  /** Counts the body while it arrives. */
  readonly count: BodyCount;
  /** Counts an answer until its peer has taken it. */
  readonly unread: Unread;
}

/**
 * A handler of plain requests to one method, in place of Connect's. Status, headers, body, log lines and metrics are the same as
 * Connect's.
 */
export interface ShortHandler {
  /** Describes a request that this handler takes; undefined for one that is left to Connect's. */
  accepts(request: IncomingMessage): PlainRequest | undefined;
  /** Serves such a request. Rejects when the response cannot be written. */
  serve(plain: PlainRequest, exchange: Exchange): Promise<void>;
}

/** A handler of requests for paths of its own, which are no methods of Connect. */
export interface PathHandler {
  /** Its name in the log. */
  readonly name: string;
  /** Reports whether a request is for one of its paths. */
  serves(request: IncomingMessage): boolean;
  /** Serves such a request. Its answers may be large. Rejects when the response cannot be written. */
  serve(exchange: Exchange): Promise<void>;
}

/** What an adapter serves. */
export interface AdapterOptions {
  /** Registers the services. */
  readonly routes: (router: ConnectRouter) => void;
  /** Handlers of plain requests, by the path of the method. Default: none. */
  readonly short?: ReadonlyMap<string, ShortHandler>;
  /** Handles the paths that are its own. Default: none. */
  readonly paths?: PathHandler;
  /** Handles requests for other paths. */
  readonly fallback: (request: IncomingMessage, response: ServerResponse) => void;
  /** Proxies whose word counts about the address of a client. */
  readonly trustedProxies: AddressList;
  /** The paths of the methods whose answers may be large; those of one user on one HTTP/2 connection wait for room. */
  readonly largeAnswers: ReadonlySet<string>;
  /** Reports whether a call of HTTP/2 is reset without an answer, by its path and connection. Default: none. */
  readonly resets?: (path: string, connection: object) => boolean;
  /** Bounds the answers that nobody reads, and the bodies that do not arrive. */
  readonly inFlight: InFlight;
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

/** Requests of one HTTP/1.1 connection that wait for those before them; with more, the connection is cut. */
const maxPipelined = 250;

/** The transport of one call. */
class CallHandle implements ConnectionHandle, InFlightCall {
  user: string | undefined;
  /** The HTTP/2 connection; undefined over HTTP/1.1. */
  readonly session: object | undefined;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #options: AdapterOptions;
  readonly #isLarge: boolean;
  /** The room on the connection that the answer has, or waits for. */
  #held: Held | undefined;

  /** `isLarge`: the answer may be large. */
  constructor(request: IncomingMessage, response: ServerResponse, options: AdapterOptions, isLarge: boolean) {
    this.session = "stream" in request ? (request.stream as ServerHttp2Stream).session : undefined;
    this.#request = request;
    this.#response = response;
    this.#options = options;
    this.#isLarge = isLarge;
  }

  get connection(): object {
    return this.session ?? this.#request.socket;
  }

  address(): string | undefined {
    return clientAddress(this.#request, this.#options.trustedProxies);
  }

  enter(call: { readonly signal: AbortSignal }): Promise<void> | undefined {
    const { session } = this;
    if (!session || !this.#isLarge || isGone(this.#response)) return undefined;
    return new Promise((resolve) => {
      let isWaiting = true;
      const held = this.#options.inFlight.connectionAnswers.enter(this, session, largeAnswer, () => {
        isWaiting = false;
        resolve();
      });
      this.#held = held;
      this.#response.once("close", held.end);
      if (!isWaiting) return;
      const stop = () => {
        if (isWaiting) held.end();
        resolve();
      };
      call.signal.addEventListener("abort", stop, { once: true });
    });
  }

  /** Counts an answer of known length until its peer has taken it. Returns the function to call when it has taken a part. */
  unread(bytes: number): () => void {
    this.#held?.resize(bytes);
    return this.#options.inFlight.unread(this.#response, bytes, this.user);
  }

  sink(format: Enveloped, flushQueue: FlushQueue): Sink {
    const response = this.#response;
    // The HTTP/2 compatibility layer is not a Writable, but the stream below it is.
    return "stream" in response
      ? new SocketSink(response.stream as Writable, format.plain, flushQueue)
      : new ChunkedSink(response, format, flushQueue);
  }

  destroy(): void {
    this.#response.destroy();
  }
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
export function createAdapter(options: AdapterOptions): Adapter {
  const { routes, fallback, largeAnswers, resets, short, paths } = options;
  const router = createConnectRouter({ acceptCompression });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const find = ({ url = "" }: IncomingMessage) => handlers.get(url) ?? handlers.get(url.split("?", 1)[0] as string);
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const handler = find(request);
    if (!handler) {
      if (!paths?.serves(request)) fallback(request, response);
      else
        perform(request, response, options, { name: paths.name, isLarge: true }, (exchange) => paths.serve(exchange));
      return;
    }
    const stream = "stream" in request ? (request.stream as ServerHttp2Stream) : undefined;
    if (stream?.session && resets?.(handler.requestPath, stream.session)) {
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      return;
    }
    const isUnary = handler.method.methodKind === "unary";
    const shortHandler = short?.get(handler.requestPath);
    const plain = shortHandler?.accepts(request);
    const headers = isUnary ? responseHeaders : streamHeaders;
    if (!plain) for (const name in headers) response.setHeader(name, headers[name] as string);
    const stock = async ({ handle, count, unread }: Exchange) => {
      const values = createContextValues().set(connectionKey, handle);
      const answer = await handler(toUniversal(request, response, values, count));
      const words = answer.body ? undefined : wordsFor(answer.status, isUnary);
      if (words === undefined) return isUnary ? writeUnary(answer, response, unread) : writeStream(answer, response);
      answer.header?.forEach((value, name) => void response.setHeader(name, value));
      return refuse(response, answer.status, words);
    };
    const kind = { name: handler.method.name, isLarge: largeAnswers.has(handler.requestPath) };
    perform(request, response, options, kind, plain ? (exchange) => shortHandler?.serve(plain, exchange) : stock);
  };
  const serves = (request: IncomingMessage) => find(request) !== undefined || paths?.serves(request) === true;
  return Object.assign(serve, { serves });
}

/** Performs a call: counts what it holds, and logs a failure to write its response under its name. */
function perform(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdapterOptions,
  { name, isLarge }: { readonly name: string; readonly isLarge: boolean },
  call: (exchange: Exchange) => Promise<void> | undefined,
): void {
  const handle = new CallHandle(request, response, options, isLarge);
  const count = options.inFlight.body(handle, Number(request.headers["content-length"]));
  response.on("close", () => {
    count.done();
    // A client that gets its response before it has sent the whole request may wait until the rest is read. Read it;
    // requestMs bounds the time.
    if (!request.readableEnded && !request.destroyed) request.removeAllListeners("readable").resume();
  });
  const unread = (bytes: number) => handle.unread(bytes);
  // Inside the promise, because reading a request whose connection has just broken may throw.
  const joined = async () => {
    joinCredentials(request);
    return call({ request, response, handle, count, unread });
  };
  const begin = () => {
    joined().catch((error: unknown) => {
      // The Host header makes no URL: the request is at fault, and no handler has seen it.
      if (isInvalidUrl(error) && !response.headersSent) return refuse(response, 400, "the Host header is not a host");
      if (isDisconnect(error) || response.destroyed) return;
      options.logger?.error({ err: error, method: name }, "writing the response failed");
      response.destroy();
    });
  };
  if (handle.session) begin();
  else inOrder(request, response, begin);
}

/** The requests of each HTTP/1.1 connection that wait. */
const pipelined = new WeakMap<Socket, number>();

/**
 * Begins a call of HTTP/1.1 when the responses before it on its connection have been sent. Of calls at the same time, all but
 * one would keep their answers in memory.
 */
function inOrder({ socket }: IncomingMessage, response: ServerResponse, begin: () => void): void {
  if (response.socket) {
    begin();
    return;
  }
  const waiting = (pipelined.get(socket) ?? 0) + 1;
  pipelined.set(socket, waiting);
  if (waiting > maxPipelined) {
    socket.destroy();
    return;
  }
  response.once("socket", () => {
    pipelined.set(socket, (pipelined.get(socket) ?? 0) - 1);
    begin();
  });
}

/**
 * Joins repeated Authorization headers, as the values of lists are joined (RFC 9110 section 5.3): Node drops all but the
 * first. The joined value is no credential, so the gate refuses it with an error of the protocol.
 */
export function joinCredentials(request: IncomingMessage): void {
  const credentials = valuesOf(request, "authorization");
  if (credentials.length > 1) request.headers.authorization = credentials.join(", ");
}
