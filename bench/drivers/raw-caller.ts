import { connect, type Socket } from "node:net";

/** One keep-alive HTTP/1.1 connection that sends a request as soon as the last is answered: as cheap as a driver can be. */
export class RawCaller {
  readonly #socket: Socket;
  #buffer: Buffer = Buffer.alloc(0);
  #answered: (body: Buffer) => void = () => {};
  #failed: (error: Error) => void = () => {};
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (data) => this.#take(data));
    socket.on("error", (error) => this.#failed(error));
    socket.on("close", () => {
      this.#closed = true;
      this.#failed(new Error("the connection was closed"));
    });
  }

  /** Servers close connections that are silent for long. */
  get closed(): boolean {
    return this.#closed;
  }

  static async open(port: number): Promise<RawCaller> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new RawCaller(socket);
  }

  /** Sends a request made by `rawRequest`; the body of the answer. Throws when the status is not 200. */
  call(request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new Error("the connection was closed"));
      this.#answered = resolve;
      this.#failed = reject;
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#failed = () => {};
    this.#socket.destroy();
  }

  #take(data: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? data : Buffer.concat([this.#buffer, data]);
    const end = this.#buffer.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = this.#buffer.toString("latin1", 0, end);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    if (this.#buffer.length < end + 4 + length) return;
    const body = this.#buffer.subarray(end + 4, end + 4 + length);
    this.#buffer = this.#buffer.subarray(end + 4 + length);
    if (head.startsWith("HTTP/1.1 200")) this.#answered(body);
    else this.#failed(new Error(`${head.split("\r\n", 1)[0]} ${body}`));
  }
}

/** A unary Connect request of PushService in Protobuf, ready to write. */
export function rawRequest(method: string, token: string, body: Uint8Array): Buffer {
  return postRequest(
    `/tidings.v1.PushService/${method}`,
    "application/proto",
    body,
    `authorization: Bearer ${token}\r\n`,
  );
}

/** A POST, ready to write. */
export function postRequest(path: string, contentType: string, body: Uint8Array, more = ""): Buffer {
  const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: ${contentType}\r\n${more}`;
  return Buffer.concat([Buffer.from(`${head}content-length: ${body.length}\r\n\r\n`), body]);
}
