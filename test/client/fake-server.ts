import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { create, fromBinary, fromJsonString, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { type ConnectError, type ConnectRouter, createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { type WebSocket, WebSocketServer } from "ws";
import { BridgeFrameSchema } from "../../gen/tidings/v1/bridge_pb.ts";
import {
  PushService,
  type SubscribeRequest,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "../../gen/tidings/v1/push_service_pb.ts";
import { fail, reasonOf, webSocketCloseCode } from "../../src/errors.ts";

/** An event in the form in which tests write it. */
export type EventInit = NonNullable<MessageInitShape<typeof SubscribeResponseSchema>["event"]>;

/** The server's end of one stream. */
export interface ServerStream {
  readonly way: "connect" | "ws";
  readonly subprotocol: string;
  readonly token: string;
  readonly request: SubscribeRequest;
  send(...events: EventInit[]): void;
  end(error: ConnectError): void;
  /** Resolves when the client has dropped the stream. */
  readonly gone: Promise<void>;
}

/** A queue whose consumer waits for its items. */
class Arrivals<T> {
  readonly #waiting: T[] = [];
  readonly #takers: ((value: T) => void)[] = [];

  push(value: T): void {
    const taker = this.#takers.shift();
    if (taker) taker(value);
    else this.#waiting.push(value);
  }

  next(): Promise<T> {
    const value = this.#waiting.shift();
    return value === undefined ? new Promise((resolve) => this.#takers.push(resolve)) : Promise.resolve(value);
  }
}

/** A Tidings server whose events the test sends one by one, on a real port, by Connect and by the bridge. */
export class FakeServer {
  /** The implementations of unary calls, which tests replace. */
  unary: Partial<ServiceImpl<typeof PushService>> = {};
  /** How the server treats WebSocket upgrades. */
  upgrades: "accepted" | "refused" | "swallowed" = "accepted";
  readonly #streams = new Arrivals<ServerStream>();
  readonly #server: Server;
  readonly #bridge = new WebSocketServer({ noServer: true });

  static async start(): Promise<FakeServer> {
    const server = new FakeServer();
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  private constructor() {
    this.#server = createServer(connectNodeAdapter({ routes: this.routes }));
    this.#server.on("upgrade", (request, socket, head) => {
      if (this.upgrades === "swallowed") return;
      if (this.upgrades === "refused") return socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
      if (request.url !== "/ws") return socket.destroy();
      this.#bridge.handleUpgrade(request, socket, head, (webSocket) => this.#bridged(webSocket));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resolves with the next stream that a client opens. */
  stream(): Promise<ServerStream> {
    return this.#streams.next();
  }

  /** A transport to this server without a network. */
  transport() {
    return createRouterTransport(this.routes);
  }

  /** Cuts every connection. */
  cut(): void {
    this.#server.closeAllConnections();
    for (const client of this.#bridge.clients) client.terminate();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  readonly routes = (router: ConnectRouter): void => {
    const server = this;
    router.service(PushService, {
      markRead: (request, context) => call(server.unary.markRead)(request, context),
      listUnread: (request, context) => call(server.unary.listUnread)(request, context),
      listMessages: (request, context) => call(server.unary.listMessages)(request, context),
      deleteMessages: (request, context) => call(server.unary.deleteMessages)(request, context),
      onlineCount: (request, context) => call(server.unary.onlineCount)(request, context),
      publish: (request, context) => call(server.unary.publish)(request, context),
      publishBatch: (request, context) => call(server.unary.publishBatch)(request, context),
      async *subscribe(request, context) {
        const token = context.requestHeader.get("authorization")?.replace("Bearer ", "") ?? "";
        const out = new Arrivals<SubscribeResponse | ConnectError>();
        const gone = new Promise<void>((resolve) => context.signal.addEventListener("abort", () => resolve()));
        server.#streams.push({
          way: "connect",
          subprotocol: "",
          token,
          request,
          send: (...events) => {
            for (const event of events) out.push(create(SubscribeResponseSchema, { event }));
          },
          end: (error) => out.push(error),
          gone,
        });
        for (;;) {
          const next = await Promise.race([out.next(), gone]);
          if (next === undefined) return;
          if (next instanceof Error) throw next;
          yield next;
        }
      },
    });
  };

  #bridged(webSocket: WebSocket): void {
    const json = webSocket.protocol === "tidings.v1.json";
    webSocket.once("message", (data: Buffer) => {
      const { token, subscribe } = json
        ? fromJsonString(BridgeFrameSchema, data.toString())
        : fromBinary(BridgeFrameSchema, data);
      if (subscribe === undefined) return webSocket.close(4003, "FIELD_INVALID: subscribe: is required");
      this.#streams.push({
        way: "ws",
        subprotocol: webSocket.protocol,
        token,
        request: subscribe,
        send: (...events) => {
          for (const event of events) {
            const response = create(SubscribeResponseSchema, { event });
            webSocket.send(
              json ? toJsonString(SubscribeResponseSchema, response) : toBinary(SubscribeResponseSchema, response),
            );
          }
        },
        end: (error) => webSocket.close(webSocketCloseCode(error), `${reasonOf(error)}: ${error.rawMessage}`),
        gone: new Promise((resolve) => webSocket.once("close", () => resolve())),
      });
    });
  }
}

function call<F>(implementation: F | undefined): F {
  if (implementation === undefined) throw fail("SERVICE_UNKNOWN", "the test implements no such call");
  return implementation;
}
