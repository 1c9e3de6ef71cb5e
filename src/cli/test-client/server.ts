/**
 * The server of the kit: every form of call on one port, as a Tidings server has it, and a service of tokens. It does
 * nothing by itself but check tokens; a scenario takes each call and answers it.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { fromBinary, fromJson } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type WebSocket, WebSocketServer } from "ws";
import { BridgeFrameSchema } from "../../../gen/tidings/v1/bridge_pb.ts";
import { PushService } from "../../../gen/tidings/v1/push_service_pb.ts";
import { fail } from "../../errors.ts";
import { declineUpgrade } from "../../http/declined-upgrade.ts";
import { sniffHttp2 } from "../../http/sniff.ts";
import { StreamCall, UnaryCall, type UnaryName } from "./calls.ts";
import { BridgeExchange, type Exchange, type HttpAnswer, HttpExchange } from "./exchange.ts";
import { decodeRequest, type Form, formOf } from "./form.ts";

/** A token that the server gave. */
export interface IssuedToken {
  readonly token: string;
  /** The client asked for it after a refusal. */
  readonly refresh: boolean;
  /** When it was issued, in ms of the monotonic clock. */
  readonly at: number;
}

/** Calls of one method, which a scenario takes in the order of their arrival. */
type Queue = (StreamCall | UnaryCall<UnaryName>)[];

const prefix = "/tidings.v1.PushService/";
const sniffMs = 30_000;

/** The server of one scenario. */
export class KitServer {
  /** Every token that was given. */
  readonly tokens: IssuedToken[] = [];
  /** Every stream that was asked for, whether or not a scenario has taken it. */
  readonly streams: StreamCall[] = [];
  /** Mistakes that no client may make in any scenario, as sentences. */
  readonly faults: string[] = [];
  /** When connections were reset because the server is down, in ms of the monotonic clock. */
  readonly refusals: number[] = [];
  /** Resets every connection, as a machine without the server does. */
  down = false;
  /** How long tokens live, in ms: their claim `exp`. */
  tokenLifeMs = 3_600_000;
  /** Answers requests for tokens instead of the server. */
  tokenAnswer: (() => HttpAnswer | undefined) | undefined;
  /** The number of requests for tokens that get no answer at all. */
  tokensWithoutAnswer = 0;
  /** Answers calls and upgrades instead of the server, as a proxy does. */
  proxy: (() => HttpAnswer | undefined) | undefined;
  readonly #changed: () => void;
  readonly #calls = new Map<string, Queue>();
  readonly #http1 = createHttpServer((request, response) => this.#serve(request, response, request.socket));
  readonly #http2 = createHttp2Server();
  readonly #bridge = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => this.#chooseProtocol(offered),
  });
  /** Reads a connection as HTTP/1.1. */
  readonly #serveHttp1: (socket: Socket) => void;
  readonly #sockets = new Set<Socket>();
  /** The connections below the sessions of HTTP/2, whose own sockets cannot be reset. */
  readonly #below = new WeakMap<ServerHttp2Session, Socket>();

  /** `changed` is called after everything that a scenario may wait for. */
  constructor(changed: () => void) {
    this.#changed = changed;
    const [serveHttp1] = this.#http1.listeners("connection") as ((socket: Socket) => void)[];
    this.#serveHttp1 = (socket) => serveHttp1?.call(this.#http1, socket);
    this.#http1.removeAllListeners("connection");
    this.#http1.on("connection", (socket: Socket) => {
      socket.on("error", ignore);
      if (this.down) return this.#refuse(socket);
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      sniffHttp2(socket, sniffMs, (isHttp2) => {
        if (!isHttp2) return this.#serveHttp1(socket);
        socket.allowHalfOpen = false;
        this.#http2.once("session", (session) => {
          this.#below.set(session, socket);
          session.on("error", ignore);
        });
        this.#http2.emit("connection", socket);
      });
    });
    this.#http1.on("upgrade", (request, socket: Socket, head) => this.#upgrade(request, socket, head));
    this.#http2.on("sessionError", ignore);
    this.#http2.on("request", (request, response) => {
      const { session } = request.stream;
      const socket = session && this.#below.get(session as ServerHttp2Session);
      if (socket) this.#serve(request as never, response as never, socket);
    });
  }

  /** Starts to listen on a free port of this machine. */
  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#http1.listen(0, "127.0.0.1", resolve));
  }

  /** The URL for the client. */
  get url(): string {
    return `http://127.0.0.1:${(this.#http1.address() as AddressInfo).port}`;
  }

  /** The URL of the service of tokens. */
  get tokenUrl(): string {
    return `${this.url}/token`;
  }

  /** The next stream that was not taken yet; undefined if there is none. */
  takeStream(): StreamCall | undefined {
    return this.#queue("subscribe").shift() as StreamCall | undefined;
  }

  /** The next call of a method that was not taken yet; undefined if there is none. */
  takeCall<N extends UnaryName>(method: N): UnaryCall<N> | undefined {
    return this.#queue(method).shift() as UnaryCall<N> | undefined;
  }

  /** Resets all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Closes all connections, and stops listening. */
  close(): void {
    this.#http1.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #queue(method: string): Queue {
    const queue = this.#calls.get(method) ?? [];
    this.#calls.set(method, queue);
    return queue;
  }

  #refuse(socket: Socket): void {
    this.refusals.push(performance.now());
    socket.resetAndDestroy();
    this.#changed();
  }

  #serve(request: IncomingMessage, response: ServerResponse, socket: Socket) {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://kit");
    if (pathname === "/token") return this.#issue(response, searchParams.has("refresh"));
    const answer = this.proxy?.();
    if (answer) {
      response.writeHead(answer.status, { ...answer.headers });
      response.end(answer.body);
      return this.#changed();
    }
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const isGet = request.method === "GET";
      const form = isGet ? formOfGet(searchParams) : formOf(request.headers["content-type"] ?? "");
      const method = Object.values(PushService.method).find(({ name }) => pathname === prefix + name);
      if (form === undefined || method === undefined) {
        this.#fault(`asked for ${request.method} ${pathname} as ${request.headers["content-type"]}`);
        response.writeHead(form === undefined ? 415 : 404);
        return void response.end();
      }
      const body = isGet ? bodyOfGet(searchParams) : Buffer.concat(chunks);
      const exchange = new HttpExchange(form, request, response, socket);
      const encoding = request.headers["content-encoding"] ?? "";
      const token = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1] ?? "";
      this.#arrive(exchange, token, method.localName, () => decodeRequest(method.input, form, body, encoding));
    });
    request.on("error", ignore);
  }

  #issue(response: ServerResponse, refresh: boolean) {
    if (this.tokensWithoutAnswer > 0) {
      this.tokensWithoutAnswer--;
      return this.#changed();
    }
    const answer = this.tokenAnswer?.();
    if (answer) {
      response.writeHead(answer.status, { ...answer.headers });
      response.end(answer.body);
      return this.#changed();
    }
    const now = Math.floor(Date.now() / 1000);
    const claims = { sub: "ada", tenant: "acme", role: "user", exp: now + Math.ceil(this.tokenLifeMs / 1000) };
    const parts = [{ alg: "HS256", typ: "JWT" }, { ...claims, jti: `kit-${this.tokens.length + 1}` }, "signature"];
    const token = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    this.tokens.push({ token, refresh, at: performance.now() });
    response.writeHead(200, { "content-type": "text/plain" });
    response.end(token);
    this.#changed();
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer) {
    const answer = this.proxy?.();
    if (answer) {
      const headers = Object.entries({ ...answer.headers, "content-length": Buffer.byteLength(answer.body ?? "") });
      const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
      socket.end(`HTTP/1.1 ${answer.status} No\r\n${lines}connection: close\r\n\r\n${answer.body ?? ""}`);
      return this.#changed();
    }
    // Some libraries offer h2c with their requests; the server goes on with HTTP/1.1, as a Tidings server does.
    if (request.url !== "/ws") return declineUpgrade(request, socket, head, () => this.#serveHttp1(socket));
    this.#bridge.handleUpgrade(request, socket, head, (webSocket) => this.#bridged(webSocket, socket));
  }

  #chooseProtocol(offered: ReadonlySet<string>): string | false {
    return [...offered].find((name) => name === "tidings.v1.json" || name === "tidings.v1.proto") ?? false;
  }

  #bridged(webSocket: WebSocket, socket: Socket): void {
    const form: Form = { protocol: "bridge", json: webSocket.protocol === "tidings.v1.json" };
    const exchange = new BridgeExchange(form, webSocket, socket);
    const decode = (data: Buffer) =>
      form.json ? fromJson(BridgeFrameSchema, JSON.parse(data.toString())) : fromBinary(BridgeFrameSchema, data);
    webSocket.on("error", ignore);
    webSocket.once("message", (first: Buffer) => {
      let stream: StreamCall | undefined;
      try {
        const { token, subscribe } = decode(first);
        stream = this.#arrive(exchange, token, "subscribe", () => {
          if (subscribe === undefined) throw new Error("the first frame has no subscribe");
          return subscribe;
        }) as StreamCall | undefined;
      } catch (error) {
        this.#malformed(exchange, error);
      }
      webSocket.on("message", () => {
        if (stream?.answersPings) void stream.send({ case: "heartbeat", value: {} });
      });
    });
  }

  /** Queues a call for the scenario, unless the server has not issued its token. */
  #arrive(exchange: Exchange, token: string, method: string, decode: () => unknown) {
    const info = { at: performance.now(), token, exchange };
    let request: unknown;
    try {
      request = decode();
    } catch (error) {
      return this.#malformed(exchange, error);
    }
    if (!this.tokens.some((issued) => issued.token === token)) {
      this.#fault(`called ${method} with the token "${token}", which the token function never returned`);
      return exchange.end(fail("TOKEN_INVALID", "the token is not one of the kit"));
    }
    if (method === "subscribe") {
      const stream = new StreamCall(request as never, info);
      this.streams.push(stream);
      this.#queue(method).push(stream);
      void stream.gone.then(this.#changed);
      this.#changed();
      return stream;
    }
    this.#queue(method).push(new UnaryCall(PushService.method[method as UnaryName], request as never, info));
    this.#changed();
  }

  #malformed(exchange: Exchange, error: unknown): void {
    this.#fault(`sent a request that cannot be decoded: ${error instanceof Error ? error.message : error}`);
    exchange.end(new ConnectError("the request cannot be decoded", Code.InvalidArgument));
  }

  #fault(sentence: string): void {
    this.faults.push(sentence);
    this.#changed();
  }
}

/** The form of a call by GET, which Connect allows for methods without side effects. */
function formOfGet(query: URLSearchParams): Form | undefined {
  return query.has("message") ? { protocol: "connect", json: query.get("encoding") === "json" } : undefined;
}

function bodyOfGet(query: URLSearchParams): Buffer {
  const text = query.get("message") ?? "";
  return query.get("base64") === "1" ? Buffer.from(text, "base64url") : Buffer.from(text);
}

function ignore(): void {}
