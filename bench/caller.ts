import { connect, type Socket } from "node:net";

/** One keep-alive HTTP/1.1 connection that repeats a request as fast as it is answered: as cheap as a driver can be. */
export class RawCaller {
  readonly #socket: Socket;
  #buffer: Buffer = Buffer.alloc(0);
  #answered: (body: Buffer) => void = () => {};
  #failed: (error: Error) => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (data) => this.#take(data));
    socket.on("error", (error) => this.#failed(error));
    socket.on("close", () => this.#failed(new Error("the connection was closed")));
  }

  static async open(port: number): Promise<RawCaller> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new RawCaller(socket);
  }

  /** Sends a request made by `rawRequest`; the body of the answer. Throws when the status is not 200. */
  call(request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
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

/** A unary Connect request in Protobuf, ready to write. */
export function rawRequest(method: string, token: string, body: Uint8Array): Buffer {
  const head = [
    `POST /tidings.v1.PushService/${method} HTTP/1.1`,
    "host: 127.0.0.1",
    "content-type: application/proto",
    `authorization: Bearer ${token}`,
    `content-length: ${body.length}`,
  ];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), body]);
}

/** Calls from so many connections for a while. Calls a second, and the time of each in ms. */
export async function load(port: number, request: Buffer, connections: number, milliseconds: number) {
  const callers = await Promise.all(Array.from({ length: connections }, () => RawCaller.open(port)));
  const times: number[] = [];
  const start = performance.now();
  await Promise.all(
    callers.map(async (caller) => {
      while (performance.now() - start < milliseconds) {
        const sent = performance.now();
        await caller.call(request);
        times.push(performance.now() - sent);
      }
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  for (const caller of callers) caller.close();
  return { rate: times.length / seconds, times };
}
