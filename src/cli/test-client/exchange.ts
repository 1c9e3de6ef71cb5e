/** One call as the server of the kit holds it: over HTTP or over the WebSocket bridge, with answers that may be wrong on purpose. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import type { WebSocket } from "ws";
import { errorTable, reasonOf, webSocketCloseCode } from "../../errors.ts";
import { contentTypeOf, endOf, errorBody, type Form, frameOf, type RawMessage, trailersOf } from "./form.ts";

/** An HTTP response as an intermediary sends it, without a word of the protocol. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The page that proxies send with their errors. */
export function proxyPage(status: number, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  const body = `<html><head><title>${status}</title></head><body><h1>${status}</h1><hr>a proxy</body></html>\n`;
  return { status, headers: { "content-type": "text/html", ...headers }, body };
}

/** The server's end of one call. */
export interface Exchange {
  readonly form: Form;
  /** Resolves when the peer has ended the exchange, or the connection is lost. */
  readonly gone: Promise<void>;
  /** Sends a message. Resolves when the bytes have left the process. */
  send(message: RawMessage): Promise<void>;
  /** Sends the first half of a message. */
  half(message: RawMessage): Promise<void>;
  /** Sends a message in pieces of this size, each by a write of its own. */
  pieces(message: RawMessage, bytes: number): Promise<void>;
  /** Resets the TCP connection. */
  reset(): void;
  /** Ends the exchange: without an error, with the last message of a unary call, or with an error. */
  end(error?: ConnectError): void;
  /** Answers as an intermediary would; only before anything was sent. */
  answer(http: HttpAnswer): void;
}

/** The messages of an exchange, which each form frames in its own way. */
abstract class FramedExchange {
  abstract readonly form: Form;

  /** Resolves when the bytes have left the process. */
  protected abstract write(bytes: Buffer): Promise<void>;

  send(message: RawMessage): Promise<void> {
    return this.write(frameOf(this.form, message));
  }

  half(message: RawMessage): Promise<void> {
    const frame = frameOf(this.form, message);
    return this.write(frame.subarray(0, Math.ceil(frame.length / 2)));
  }

  async pieces(message: RawMessage, bytes: number): Promise<void> {
    const frame = frameOf(this.form, message);
    for (let at = 0; at < frame.length; at += bytes) {
      await this.write(frame.subarray(at, at + bytes));
      // Otherwise the kernel would join the pieces before the client reads any.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

/** An exchange over HTTP/1.1 or HTTP/2. */
export class HttpExchange extends FramedExchange implements Exchange {
  readonly form: Form;
  readonly gone: Promise<void>;
  readonly #response: ServerResponse;
  readonly #socket: Socket;

  constructor(form: Form, request: IncomingMessage, response: ServerResponse, socket: Socket) {
    super();
    this.form = form;
    this.#response = response;
    this.#socket = socket;
    this.gone = new Promise((resolve) => response.once("close", resolve));
    request.on("error", ignore);
    response.on("error", ignore);
  }

  /** Sends the headers of a successful answer, without a message. */
  open(): void {
    if (this.#response.headersSent) return;
    this.#response.writeHead(200, { "content-type": contentTypeOf(this.form) });
    this.#response.flushHeaders?.();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }

  end(error?: ConnectError) {
    const { protocol } = this.form;
    if (protocol === "connect") {
      if (error === undefined) return void this.#response.end();
      const status = codeToHttpStatus(error.code);
      return this.answer({ status, headers: { "content-type": "application/json" }, body: errorBody(error) });
    }
    this.open();
    if (protocol === "grpc") this.#response.addTrailers(trailersOf(error));
    this.#response.end(endOf(this.form, error));
  }

  answer({ status, headers = {}, body = "" }: HttpAnswer): void {
    this.#response.writeHead(status, { ...headers });
    this.#response.end(body);
  }

  protected write(bytes: Buffer): Promise<void> {
    this.open();
    const written = new Promise<void>((resolve) => this.#response.write(bytes, () => resolve()));
    return Promise.race([written, this.gone]);
  }
}

/** An exchange over the WebSocket bridge. */
export class BridgeExchange extends FramedExchange implements Exchange {
  readonly form: Form;
  readonly gone: Promise<void>;
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;

  constructor(form: Form, webSocket: WebSocket, socket: Socket) {
    super();
    this.form = form;
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.gone = new Promise((resolve) => webSocket.once("close", () => resolve()));
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }

  end(error?: ConnectError): void {
    const reason = error && reasonOf(error);
    // Only errors of the table have a close code of their own; an end without one is 1001, the server goes away.
    if (!error || !Object.hasOwn(errorTable, `${reason}`)) this.#webSocket.close(1001);
    else this.#webSocket.close(webSocketCloseCode(error), `${reason}: ${error.rawMessage}`.slice(0, 123));
  }

  answer(): void {
    throw new Error("the upgrade was accepted before the call could be read");
  }

  protected write(bytes: Buffer): Promise<void> {
    const written = new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()));
    return Promise.race([written, this.gone]);
  }
}

function ignore(): void {}
