import { connect, type Socket } from "node:net";
import type { Connection, Group } from "./group.ts";
import { Handshake, type HandshakeScript } from "./handshake.ts";
import { ack, endStream, frame, frameHeaderLength, frameType, preface, request } from "./http2-frames.ts";
import { MessageCounter } from "./message-counter.ts";

/** A request whose response is a stream. */
export interface StreamRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly steps: HandshakeScript["steps"];
}

interface Stream {
  readonly counter: MessageCounter;
  readonly handshake: Handshake;
}

/** One read buffer for all sockets of this process: a chunk is processed before the next one is read. */
const shared = Buffer.alloc(256 * 1024);
/** Types of short frames, whose payload is collected before it is handled. */
const collected: readonly number[] = [frameType.ping, frameType.settings, frameType.goAway, frameType.reset];

/** A raw HTTP/2 connection with several streams. It skips over frames by their lengths and reads only DATA. */
export class Http2Session implements Connection {
  readonly #socket: Socket;
  readonly #group: Group;
  readonly #streams = new Map<number, Stream>();
  readonly #header = Buffer.alloc(frameHeaderLength);
  /** Bytes of the frame header that have arrived. */
  #filled = 0;
  /** Bytes of the payload that have not arrived. */
  #left = 0;
  /** The payload so far of a frame that is collected. */
  #payload: Buffer = Buffer.alloc(0);
  readonly ready: Promise<void>;
  bytes = 0;

  constructor(port: number, requests: readonly StreamRequest[], group: Group) {
    this.#group = group;
    const socket = connect({
      port,
      host: "127.0.0.1",
      onread: { buffer: shared, callback: (length) => this.#take(shared.subarray(0, length)) },
    });
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("error", ({ message }) => this.#fail(message));
    socket.on("close", () => this.#fail("the server closed a connection"));
    socket.write(preface());
    requests.forEach(({ headers, body, steps }, index) => {
      const id = index * 2 + 1;
      this.#streams.set(id, { counter: new MessageCounter(group), handshake: new Handshake(steps, () => {}) });
      socket.write(request(id, headers, body));
    });
    this.ready = Promise.all([...this.#streams.values()].map(({ handshake }) => handshake.ready)).then(() => {});
  }

  get counts(): readonly number[] {
    return [...this.#streams.values()].map(({ counter }) => counter.count);
  }

  /** Does nothing: pings of the server are answered when they arrive. */
  keepAlive(): void {}

  pause(on: boolean): void {
    if (on) this.#socket.pause();
    else this.#socket.resume();
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }

  #take(chunk: Buffer): boolean {
    this.bytes += chunk.length;
    let at = 0;
    while (at < chunk.length) {
      if (this.#filled < frameHeaderLength) {
        const end = Math.min(chunk.length, at + frameHeaderLength - this.#filled);
        this.#filled += chunk.copy(this.#header, this.#filled, at, end);
        at = end;
        if (this.#filled < frameHeaderLength) break;
        this.#left = this.#header.readUIntBE(0, 3);
      }
      const end = Math.min(chunk.length, at + this.#left);
      this.#takePayload(chunk.subarray(at, end));
      this.#left -= end - at;
      at = end;
      if (this.#left > 0) break;
      this.#filled = 0;
      this.#endFrame();
    }
    return true;
  }

  #takePayload(data: Buffer): void {
    const type = this.#header[3] as number;
    if (type === frameType.data) {
      const stream = this.#streams.get(this.#header.readUInt32BE(5));
      stream?.counter.take(data);
      if (stream && !stream.handshake.done) stream.handshake.take(data);
    } else if (collected.includes(type)) this.#payload = Buffer.concat([this.#payload, data]);
  }

  #endFrame(): void {
    const [type, flags] = [this.#header[3] as number, this.#header[4] as number];
    const payload = this.#payload;
    this.#payload = Buffer.alloc(0);
    const needsAck = (flags & ack) === 0;
    if (type === frameType.settings && needsAck) this.#socket.write(frame(type, ack, 0, Buffer.alloc(0)));
    if (type === frameType.ping && needsAck) this.#socket.write(frame(type, ack, 0, payload));
    if (type === frameType.reset || type === frameType.goAway) this.#fail(`frame of type ${type}: ${payload}`);
    const canEndStream = type === frameType.data || type === frameType.headers;
    if (canEndStream && (flags & endStream) !== 0) this.#fail("the server ended a stream");
  }

  #fail(reason: string): void {
    for (const { handshake } of this.#streams.values()) if (!handshake.done) handshake.fail(reason);
    this.#group.fail(reason);
  }
}
