import { connect, type Socket } from "node:net";

/** A keep-alive HTTP/1.1 connection for one call at a time, with as little CPU time per call as possible. */
export class RawCaller {
  readonly #socket: Socket;
  #buffer: Buffer = Buffer.alloc(0);
  #resolve: (body: Buffer) => void = () => {};
  #reject: (error: Error) => void = () => {};
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (data) => this.#take(data));
    socket.on("error", (error) => this.#reject(error));
    socket.on("close", () => {
      this.#closed = true;
      this.#reject(new Error("the connection was closed"));
    });
  }

  /** The connection is closed; a server closes one that is idle for long. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Connects to a port of this machine. */
  static async open(port: number): Promise<RawCaller> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new RawCaller(socket);
  }

  /** Sends a request of `rawRequest` and resolves with the body of the response. Rejects when the status is not 200. */
  call(request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new Error("the connection was closed"));
      this.#resolve = resolve;
      this.#reject = reject;
      this.#socket.write(request);
    });
  }

  /** Closes the connection. */
  close(): void {
    this.#reject = () => {};
    this.#socket.destroy();
  }

  #take(data: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? data : Buffer.concat([this.#buffer, data]);
    const end = this.#buffer.indexOf("\r\n\r\n");
    if (end < 0) return;
    const headers = this.#buffer.toString("latin1", 0, end);
    const length = Number(/content-length: (\d+)/i.exec(headers)?.[1]);
    if (this.#buffer.length < end + 4 + length) return;
    const body = this.#buffer.subarray(end + 4, end + 4 + length);
    this.#buffer = this.#buffer.subarray(end + 4 + length);
    if (headers.startsWith("HTTP/1.1 200")) this.#resolve(body);
    else this.#reject(new Error(`${headers.split("\r\n", 1)[0]} ${body}`));
  }
}

/** Calls a server on one connection, which it opens again when the server has closed it because it was idle. */
export class Caller {
  readonly #port: number;
  #caller: RawCaller | undefined;

  constructor(port: number) {
    this.#port = port;
  }

  /** Sends a request and resolves with the body of the response. Rejects when the status is not 200. */
  async call(request: Buffer): Promise<Buffer> {
    if (!this.#caller || this.#caller.closed) this.#caller = await RawCaller.open(this.#port);
    return this.#caller.call(request);
  }

  /** Closes the connection. */
  close(): void {
    this.#caller?.close();
  }
}

/** The path of Publish. */
export const publishPath = "/tidings.v1.PushService/Publish";

/** Encodes a unary Connect call of PushService; `body` is in Protobuf. */
export function rawRequest(method: string, token: string, body: Uint8Array): Buffer {
  return postRequest(
    `/tidings.v1.PushService/${method}`,
    "application/proto",
    body,
    `authorization: Bearer ${token}\r\n`,
  );
}

/** Encodes a POST. `headers`: further header lines. */
export function postRequest(path: string, contentType: string, body: Uint8Array, headers = ""): Buffer {
  const start = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: ${contentType}\r\n${headers}`;
  return Buffer.concat([Buffer.from(`${start}content-length: ${body.length}\r\n\r\n`), body]);
}
