/**
 * The WebSocket bridge at /ws: the same subscription as the RPC Subscribe, for pages that would run out of HTTP/1.1
 * connections (browsers allow six per host, over all tabs) and for clients that only speak JSON.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type WebSocket, WebSocketServer } from "ws";
import { type BridgeFrame, BridgeFrameSchema } from "../../gen/tidings/v1/bridge_pb.ts";
import { type Identity, isUser } from "../auth/identity.ts";
import { RequestJson } from "../contract/request-json.ts";
import type { Core } from "../core/core.ts";
import { fail, reasonOf, retryAfterOf, webSocketCloseCode } from "../errors.ts";
import { clientAddress } from "../http/client-address.ts";
import { isPageAllowed } from "../http/cors.ts";
import { isWebSocketRequest } from "../http/declined-upgrade.ts";
import { valuesOf } from "../http/raw-headers.ts";
import type { Timer } from "../ports/clock.ts";
import { Subscription } from "../stream/subscription.ts";
import { guard, warn } from "../util/guard.ts";
import { webSocketJson, webSocketProto } from "../wire/formats.ts";
import { goAwayFrame } from "../wire/frame.ts";
import { SocketSink } from "../wire/socket-sink.ts";
import { Keepalive } from "./keepalive.ts";

/** How frames are read and written. */
interface Codec {
  decode(data: Buffer, ignoreUnknownFields: boolean): BridgeFrame;
  readonly format: typeof webSocketJson;
}

/**
 * The codecs, by the subprotocol with which a client chooses one. A Map rather than an object, in which a client that
 * offers `constructor` would find an inherited member.
 */
const codecs: ReadonlyMap<string, Codec> = new Map([
  [
    "tidings.v1.json",
    {
      // A binary frame may hold any bytes, while ws itself checks that text frames are UTF-8.
      decode: (data: Buffer, ignoreUnknownFields: boolean) =>
        new RequestJson(BridgeFrameSchema, ignoreUnknownFields).parse(data),
      format: webSocketJson,
    },
  ],
  [
    "tidings.v1.proto",
    {
      decode: (data: Buffer) => fromBinary(BridgeFrameSchema, data, { readUnknownFields: false }),
      format: webSocketProto,
    },
  ],
]);

/**
 * Bytes of a frame of a client, which holds a token and a few lists. Without a limit, fragments could fill the memory.
 */
const maxPayload = 64 * 1024;
/** Frames of a client that wait to be handled. */
const maxWaiting = 16;
/** Bytes of the reason of a close frame (RFC 6455 section 5.5). */
const maxCloseReason = 123;
const path = "/ws";
/** Matches a Sec-WebSocket-Protocol header that offers a subprotocol of the bridge. */
const offer = /(^|,)\s*tidings\.v1\.(json|proto)\s*(,|$)/;

/** Serves the WebSocket bridge. */
export class WebSocketBridge {
  readonly #core: Core;
  readonly #server: WebSocketServer;
  readonly #pings = new Keepalive();

  /** Creates a bridge to the streams of a core. */
  constructor(core: Core) {
    this.#core = core;
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload,
      perMessageDeflate: false,
      handleProtocols: (offered) => [...offered].find((name) => codecs.has(name)) ?? false,
    });
  }

  /**
   * Handles a WebSocket request for /ws, and returns false for any other upgrade. A request for a path that ends with /ws is
   * taken if it offers a subprotocol of the bridge: a program may serve Tidings below a path, and have a /chat/ws of its own.
   * Refusals are plain HTTP responses.
   */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    const [pathname = "", query] = (request.url ?? "").split("?", 2);
    const isOffered = offer.test(request.headers["sec-websocket-protocol"] ?? "");
    if (!isWebSocketRequest(request) || !(pathname === path || (isOffered && pathname.endsWith(path)))) return false;
    if (!isPageAllowed(request, this.#core.context.settings)) refuse(socket, "403 Forbidden", "origin is not allowed");
    // Refuse any query, so that nobody puts a token there: proxies and servers write URLs into their logs.
    else if (query) refuse(socket, "400 Bad Request", "leave out the query; the token goes in the first frame");
    // Refuse several credentials, although none is used: a proxy may have checked another one than it passed on.
    else if (valuesOf(request, "authorization").length > 1)
      refuse(
        socket,
        "400 Bad Request",
        "there is more than one Authorization header; the token goes in the first frame",
      );
    else if (!isOffered) {
      refuse(socket, "400 Bad Request", "offer the subprotocol tidings.v1.json or tidings.v1.proto");
    } else
      this.#server.handleUpgrade(request, socket, head, (webSocket) =>
        guard(warn, () => {
          const address = clientAddress(request, this.#core.context.settings.trustedProxies);
          new Bridge(this.#core, webSocket, socket, address, this.#pings);
        }),
      );
    return true;
  }
}

function ignore(): void {}

function refuse(socket: Duplex, status: string, text: string): void {
  // Node hands the socket over without a listener; an error of a peer that is gone would end the process.
  socket.on("error", ignore);
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`,
  );
}

/** One WebSocket and its subscription. */
class Bridge {
  readonly #core: Core;
  readonly #socket: WebSocket;
  readonly #codec: Codec;
  readonly #sink: SocketSink;
  readonly #address: string | undefined;
  #identity: Identity | undefined;
  #subscription: Subscription | undefined;
  #work: Promise<void> = Promise.resolve();
  #waiting = 0;
  #alive = true;
  /** Runs until the first frame has arrived. */
  #opening: Timer | undefined;
  readonly #pings: Keepalive;
  /** The slice of the connection in `#pings`. */
  readonly #slice: number;

  /**
   * `transport` is the stream below `socket`. Events are written to it as whole frames, and control frames go between.
   * `address` is the client's, as `clientAddress` returns it.
   */
  constructor(core: Core, socket: WebSocket, transport: Duplex, address: string | undefined, pings: Keepalive) {
    this.#address = address;
    this.#core = core;
    this.#socket = socket;
    this.#codec = codecs.get(socket.protocol) as Codec;
    this.#sink = new SocketSink(transport, this.#codec.format, core.context.flushQueue);
    const { clock, timeouts } = core.context.settings;
    this.#opening = clock.after(timeouts.headersMs, () => {
      this.#close(fail("TOKEN_MISSING", "no first frame with token and subscribe came in time"));
    });
    this.#pings = pings;
    this.#slice = pings.add(this);
    socket.on("message", (data) => this.#enqueue(data as Buffer));
    socket.on("pong", () => (this.#alive = true));
    // ws closes the socket after a protocol error by itself; the close event then frees the stream.
    socket.on("error", ignore);
    socket.on("close", () => guard(warn, () => this.#leave()));
  }

  /** Pings the peer, or cuts the socket when the peer did not answer the previous ping. */
  ping(): void {
    if (this.#alive) this.#socket.ping();
    else this.#socket.terminate();
    this.#alive = false;
  }

  #leave(): void {
    this.#opening?.cancel();
    this.#pings.delete(this, this.#slice);
    this.#subscription?.close();
  }

  /** Handles the frames one after another. */
  #enqueue(data: Buffer): void {
    this.#waiting++;
    if (this.#waiting > maxWaiting) {
      this.#close(fail("OVERLOADED", "too many frames at once; wait for their effect"));
      return;
    }
    this.#work = this.#work
      .then(() => this.#handle(data))
      .then(
        () => void this.#waiting--,
        (error) => this.#close(error),
      );
  }

  async #handle(data: Buffer): Promise<void> {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    const frame = decode(this.#codec, data, this.#core.context.settings.ignoreUnknownFields);
    this.#core.validate(BridgeFrameSchema, frame);
    if (!this.#subscription) return this.#open(frame);
    if (frame.subscribe)
      throw fail("FIELD_INVALID", "the stream is open; connect again to change it", { field: "subscribe" });
    // A frame without content asks whether the connection is alive.
    if (frame.token === "" && !frame.markRead) this.#subscription.beat();
    if (frame.token !== "") await this.#refresh(frame.token);
    if (!frame.markRead) return;
    if (!this.#identity || !isUser(this.#identity))
      throw fail("ROLE_FORBIDDEN", "only users have an inbox", { field: "mark_read" });
    this.#core.context.limits.call(this.#identity);
    await this.#core.context.inbox.mark(this.#identity, frame.markRead);
  }

  async #open({ token, subscribe }: BridgeFrame): Promise<void> {
    const identity = await this.#core.admit(token, this.#address);
    if (!subscribe) throw fail("FIELD_INVALID", "send it in the first frame, beside the token", { field: "subscribe" });
    this.#identity = identity;
    this.#opening?.cancel();
    this.#opening = undefined;
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    const cut = () => this.#socket.terminate();
    this.#subscription = new Subscription(this.#core.context, identity, subscribe, cut, "websocket");
    this.#subscription.start(this.#sink, (error) => this.#close(error));
  }

  async #refresh(token: string): Promise<void> {
    const fresh = await this.#core.authenticate(token);
    const { subject, tenant, role } = this.#identity ?? {};
    const same = fresh.subject === subject && fresh.tenant === tenant && fresh.role === role;
    if (!same) throw fail("TOKEN_INVALID", "the fresh token is another caller's; connect again", { field: "token" });
    await this.#subscription?.refresh(fresh);
  }

  /** Called where nothing catches an error, so that it must not throw. */
  #close(thrown: unknown): void {
    guard(warn, () => this.#closeWith(thrown));
  }

  #closeWith(thrown: unknown): void {
    const error = thrown instanceof ConnectError ? thrown : fail("INTERNAL", "internal error", { cause: thrown });
    const reason = reasonOf(error) ?? "INTERNAL";
    const { logger } = this.#core.context.settings;
    if (error.code === Code.Internal) logger?.error({ err: error.cause ?? error }, "websocket failed");
    else if (error.code === Code.Unavailable && error.cause) logger?.warn({ err: error.cause }, "websocket failed");
    // Count only errors that a client gets: a socket that is gone gets none.
    if (this.#socket.readyState === this.#socket.OPEN) this.#core.context.counters.failed(error);
    // A close frame has no field for the delay, so send it in a go_away event before.
    const afterMs = this.#subscription ? undefined : retryAfterOf(error);
    if (afterMs !== undefined) this.#sink.write([goAwayFrame(afterMs, reason, error.rawMessage)]);
    this.#subscription?.close();
    const text = `${reason}: ${error.rawMessage}`;
    this.#socket.close(webSocketCloseCode(error), cut(text));
  }
}

function decode(codec: Codec, data: Buffer, ignoreUnknownFields: boolean): BridgeFrame {
  try {
    return codec.decode(data, ignoreUnknownFields);
  } catch (error) {
    if (error instanceof ConnectError) throw error;
    throw fail("BODY_INVALID", `the frame is not a BridgeFrame: ${(error as Error).message}`, { cause: error });
  }
}

function cut(text: string): string {
  return Buffer.from(text)
    .subarray(0, maxCloseReason)
    .toString()
    .replace(/\uFFFD+$/, "");
}
