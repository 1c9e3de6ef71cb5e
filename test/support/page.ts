import { fromBinary, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type Message, Kind as MessageKind } from "../../gen/tidings/v1/message_pb.ts";
import { type SubscribeResponse, SubscribeResponseSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import type { Subscription } from "../../src/stream/subscription.ts";
import type { FlushQueue } from "../../src/wire/flush-queue.ts";
import { envelopedIn, type Format, webSocketJson, webSocketProto } from "../../src/wire/formats.ts";
import type { Frame } from "../../src/wire/frame.ts";
import type { Sink } from "../../src/wire/sink.ts";

/** A wire format that a page can read. */
export interface PageFormat {
  readonly format: Format;
  /** Reads the events of one write. */
  read(bytes: Buffer): SubscribeResponse[];
}

function fromText(bytes: Buffer): SubscribeResponse {
  return fromJson(SubscribeResponseSchema, JSON.parse(bytes.toString()) as JsonValue);
}

function fromBytes(bytes: Buffer): SubscribeResponse {
  return fromBinary(SubscribeResponseSchema, bytes);
}

/** Reads WebSocket frames of less than 64 KiB each (RFC 6455 section 5.2). */
function webSocketFrames(bytes: Buffer, parse: (payload: Buffer) => SubscribeResponse): SubscribeResponse[] {
  const events: SubscribeResponse[] = [];
  for (let at = 0; at < bytes.length; ) {
    const short = bytes[at + 1] as number;
    const from = at + (short === 126 ? 4 : 2);
    const end = from + (short === 126 ? bytes.readUInt16BE(at + 2) : short);
    events.push(parse(bytes.subarray(from, end)));
    at = end;
  }
  return events;
}

/** Reads envelopes (connectrpc.com/docs/protocol#streaming-request) that are not compressed. */
function envelopes(bytes: Buffer): SubscribeResponse[] {
  const events: SubscribeResponse[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    events.push(fromBytes(bytes.subarray(at + 5, end)));
    at = end;
  }
  return events;
}

/** Formats that differ in codec and framing. */
export const pageFormats: readonly PageFormat[] = [
  { format: webSocketJson, read: (bytes) => webSocketFrames(bytes, fromText) },
  { format: webSocketProto, read: (bytes) => webSocketFrames(bytes, fromBytes) },
  { format: envelopedIn("proto").plain, read: envelopes },
];

/** A page on a transport that can be full. It reads the bytes that the stream writes, and counts unread messages. */
export class Page implements Sink {
  readonly subscription: Subscription;
  readonly ended: Promise<unknown>;
  readonly events: SubscribeResponse["event"][] = [];
  /** The bytes of each write. */
  readonly writes: Buffer[] = [];
  /** The last totals, and one more for each notification after them. */
  total = 0;
  readonly queued = 0;
  readonly #flushQueue: FlushQueue;
  readonly #format: PageFormat;
  #isCaughtUp = false;
  #isSlow = false;
  #isFull = false;
  #drained: () => void = () => {};

  /** Runs a subscription that nothing else has run. */
  constructor(subscription: Subscription, format: PageFormat, flushQueue: FlushQueue) {
    this.subscription = subscription;
    this.#format = format;
    this.#flushQueue = flushQueue;
    this.ended = subscription.run(this).catch((error: unknown) => error);
  }

  /** Takes one more write, and then nothing until `resume`. */
  pause(): void {
    this.#isSlow = true;
  }

  /** Takes everything again. */
  resume(): void {
    this.#isSlow = this.#isFull = false;
    this.#drained();
  }

  /** The messages so far, of one feed or of all. */
  messages(feed?: string): Message[] {
    const all = this.events.flatMap(({ case: name, value }) => (name === "message" ? [value] : []));
    return feed === undefined ? all : all.filter(({ position }) => position?.feed === feed);
  }

  write(frames: readonly Frame[]): boolean {
    if (this.#isFull) throw new Error("a write to a full transport");
    const bytes = this.#flushQueue.join(frames, this.#format.format);
    this.writes.push(bytes);
    for (const { event } of this.#format.read(bytes)) this.#take(event);
    this.#isFull = this.#isSlow;
    return !this.#isFull;
  }

  drained(): Promise<void> {
    if (!this.#isFull) return Promise.resolve();
    return new Promise((resolve) => (this.#drained = resolve));
  }

  #take(event: SubscribeResponse["event"]): void {
    this.events.push(event);
    if (event.case === "caughtUp") this.#isCaughtUp = true;
    if (event.case === "message" && this.#isCaughtUp && event.value.kind === MessageKind.NOTIFICATION) this.total++;
    if (event.case === "hello" || event.case === "readState") this.total = event.value.unread?.total ?? this.total;
  }
}
