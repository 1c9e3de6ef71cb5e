import { connect, type Socket } from "node:net";
import type { Group, Peer } from "./group.ts";
import { ack, endStream, frame, frameHead, frameType, preface, request } from "./http2-frames.ts";
import { Marks } from "./marks.ts";
import { Opening, type Script } from "./opening.ts";

/** A request that answers with a stream. */
export interface StreamRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly steps: Script["steps"];
}

interface Stream {
  readonly marks: Marks;
  readonly opening: Opening;
}

const shared = Buffer.alloc(256 * 1024);
/** Frames that a driver reads as a whole: they are short. */
const whole: readonly number[] = [frameType.ping, frameType.settings, frameType.goAway, frameType.reset];

/** Several streams on one raw HTTP/2 connection. Walks over frames by their lengths and looks into DATA alone. */
export class Http2Session implements Peer {
  readonly #socket: Socket;
  readonly #group: Group;
  readonly #streams = new Map<number, Stream>();
  readonly #head = Buffer.alloc(frameHead);
  /** Bytes of the head that are there. */
  #filled = 0;
  /** Bytes of the payload that are still to come. */
  #left = 0;
  /** The payload so far, of frames that are read as a whole. */
  #payload: Buffer = Buffer.alloc(0);
  readonly ready: Promise<void>;

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
      this.#streams.set(id, { marks: new Marks(group), opening: new Opening(steps, () => {}) });
      socket.write(request(id, headers, body));
    });
    this.ready = Promise.all([...this.#streams.values()].map(({ opening }) => opening.ready)).then(() => {});
  }

  get counts(): readonly number[] {
    return [...this.#streams.values()].map(({ marks }) => marks.count);
  }

  /** Pings of the server are answered as they come. */
  sayAlive(): void {}

  pause(on: boolean): void {
    if (on) this.#socket.pause();
    else this.#socket.resume();
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }

  #take(chunk: Buffer): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#filled < frameHead) {
        const end = Math.min(chunk.length, at + frameHead - this.#filled);
        this.#filled += chunk.copy(this.#head, this.#filled, at, end);
        at = end;
        if (this.#filled < frameHead) break;
        this.#left = this.#head.readUIntBE(0, 3);
      }
      const end = Math.min(chunk.length, at + this.#left);
      this.#part(chunk.subarray(at, end));
      this.#left -= end - at;
      at = end;
      if (this.#left > 0) break;
      this.#filled = 0;
      this.#end();
    }
    return true;
  }

  #part(data: Buffer): void {
    const type = this.#head[3] as number;
    if (type === frameType.data) {
      const stream = this.#streams.get(this.#head.readUInt32BE(5));
      stream?.marks.take(data);
      if (stream && !stream.opening.done) stream.opening.take(data);
    } else if (whole.includes(type)) this.#payload = Buffer.concat([this.#payload, data]);
  }

  #end(): void {
    const [type, flags] = [this.#head[3] as number, this.#head[4] as number];
    const payload = this.#payload;
    this.#payload = Buffer.alloc(0);
    const asked = (flags & ack) === 0;
    if (type === frameType.settings && asked) this.#socket.write(frame(type, ack, 0, Buffer.alloc(0)));
    if (type === frameType.ping && asked) this.#socket.write(frame(type, ack, 0, payload));
    if (type === frameType.reset || type === frameType.goAway) this.#fail(`frame of type ${type}: ${payload}`);
    const ends = type === frameType.data || type === frameType.headers;
    if (ends && (flags & endStream) !== 0) this.#fail("the server ended a stream");
  }

  #fail(reason: string): void {
    for (const { opening } of this.#streams.values()) if (!opening.done) opening.fail(reason);
    this.#group.fail(reason);
  }
}
