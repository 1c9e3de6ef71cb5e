import { create, fromBinary, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Message, MessageSchema, PositionSchema } from "../../gen/tidings/v1/message_pb.ts";
import { type SubscribeResponse, SubscribeResponseSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { jsonFlaw } from "../util/json-value.ts";
import { completeJson } from "./complete-json.ts";
import type { Format } from "./formats.ts";
import type { ReportUnencodable } from "./unencodable.ts";

/**
 * One event, which streams send. A shared frame keeps its encodings: it is encoded once per format, however many streams
 * send it.
 */
export abstract class Frame {
  /** Whether several streams may send it, so that its encodings are kept. */
  readonly shared: boolean;
  #response: SubscribeResponse | undefined;
  #alone: readonly Frame[] | undefined;
  /** By `Format.index`. */
  #encoded: (Buffer | undefined)[] | undefined;
  #encodedBytes = 0;

  constructor(shared: boolean) {
    this.shared = shared;
  }

  /** Makes the event as a message. */
  protected abstract make(): SubscribeResponse;

  /** The event as a message. It is shared: do not change it. */
  get response(): SubscribeResponse {
    this.#response ??= this.make();
    return this.#response;
  }

  /** A batch of this frame only. It is the same array for all streams, which saves one per stream and message. */
  get alone(): readonly Frame[] {
    this.#alone ??= [this];
    return this.#alone;
  }

  /** The event as a message that JSON can express. It is shared: do not change it. */
  get jsonResponse(): SubscribeResponse {
    return this.response;
  }

  /** The event in Protobuf. */
  get binary(): Uint8Array {
    return toBinary(SubscribeResponseSchema, this.response);
  }

  /** The event in Protobuf's JSON. */
  get json(): string {
    return toJsonString(SubscribeResponseSchema, this.response, completeJson);
  }

  /** Bytes on a wire, estimated. */
  get size(): number {
    return 256;
  }

  /** Bytes of memory that the kept encodings take. */
  get encodedBytes(): number {
    return this.#encodedBytes;
  }

  /** The event's bytes in a format. The buffer may be shared: do not change it. */
  encoded(format: Format): Buffer {
    if (!this.shared) return format.encode(this);
    this.#encoded ??= [];
    const known = this.#encoded[format.index];
    if (known) return known;
    const bytes = unpooled(format.encode(this));
    this.#encoded[format.index] = bytes;
    this.#encodedBytes += bytes.length + bufferBytes;
    return bytes;
  }

  /** Frees the decoded event, which takes many times its bytes. It is decoded again when it is needed again. */
  release(): void {
    this.#response = undefined;
  }
}

/** Memory of a Buffer besides its bytes. */
const bufferBytes = 320;

/** Returns the bytes in memory of their own: a slice of Node's pool would keep the whole pool in memory. */
function unpooled(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength === bytes.length) return bytes;
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

class EventFrame extends Frame {
  readonly #event: SubscribeResponse["event"];

  constructor(event: SubscribeResponse["event"]) {
    super(false);
    this.#event = event;
  }

  protected override make(): SubscribeResponse {
    return create(SubscribeResponseSchema, { event: this.#event });
  }
}

/** Makes a frame that only one stream sends. */
export function eventFrame(event: MessageInitShape<typeof SubscribeResponseSchema>["event"]): Frame {
  return new EventFrame(event as SubscribeResponse["event"]);
}

/**
 * Makes a frame that tells a client to reconnect after `afterMs`. `reason` and `message` are the reason and the sentence
 * of the error that the stream ends with.
 */
export function goAwayFrame(afterMs: number, reason: string, message: string): Frame {
  const reconnectAfter = durationFromMs(Math.ceil(afterMs));
  return eventFrame({ case: "goAway", value: { reconnectAfter, reason, message } });
}

/** A position in a feed, as the contract writes it. */
export interface FramePosition {
  readonly feed: string;
  readonly epoch: number;
  readonly seq: string;
}

/** What the plain and the alerting form of a message are made of. */
interface Source {
  readonly body: Uint8Array;
  /** Unset for a message that is not stored. */
  readonly position: FramePosition | undefined;
  /** Called when a codec cannot encode the message. */
  readonly report: ReportUnencodable | undefined;
}

/** A message in one of its two forms. */
class BodyFrame extends Frame {
  protected readonly source: Source;
  readonly #alert: boolean;

  constructor(source: Source, shared: boolean, alert: boolean) {
    super(shared);
    this.source = source;
    this.#alert = alert;
  }

  protected override make(): SubscribeResponse {
    const value = decode(this.source.body, this.#extra);
    return create(SubscribeResponseSchema, { event: { case: "message", value } });
  }

  override get size(): number {
    return this.source.body.length;
  }

  override get jsonResponse(): SubscribeResponse {
    const { event } = this.response;
    const value = toEncodable(event.value as Message, this.source.report);
    return value === event.value
      ? this.response
      : create(SubscribeResponseSchema, { event: { case: "message", value } });
  }

  /** Checks the payload only where the encoder refuses it: a check before would cost every message. */
  override get json(): string {
    try {
      return toJsonString(SubscribeResponseSchema, this.response);
    } catch {
      return toJsonString(SubscribeResponseSchema, this.jsonResponse);
    }
  }

  /** Copies the publisher's bytes: fields that follow a message belong to it (protobuf.dev/programming-guides/encoding). */
  override get binary(): Uint8Array {
    const { body } = this.source;
    const extra = toBinary(MessageSchema, create(MessageSchema, this.#extra));
    return new BinaryWriter()
      .tag(SubscribeResponseSchema.field.message.number, WireType.LengthDelimited)
      .uint32(body.length + extra.length)
      .raw(body)
      .raw(extra)
      .finish();
  }

  /** The fields that are not in the body. */
  get #extra(): MessageInitShape<typeof MessageSchema> {
    const { position } = this.source;
    return {
      ...(position && { position: create(PositionSchema, position) }),
      ...(this.#alert && { alert: true }),
    };
  }
}

/** What filters, totals and alerts ask about a message. */
export interface MessageSummary extends Pick<Message, "kind" | "category" | "event" | "receiverId"> {
  /** "" for a message without an actor. */
  readonly actorId: string;
  /** When the message was published, in ms since the Unix epoch. */
  readonly publishTime: number;
}

/**
 * Memory of a frame besides its body and its encodings, in bytes: both forms, summary, id, position, and the entries in a
 * ring. `test/wire/frame-cost.test.ts` compares it with what V8 reports.
 */
const frameBytes = 2048;

/** A message as streams send it. */
export class MessageFrame extends BodyFrame {
  /** The seq in its feed; 0 for a message that is not stored. */
  readonly seq: number;
  /** The message's UUID; "" for a message that is not stored. */
  readonly id: string;
  /** The time from which on it is not sent, in ms since the Unix epoch; Infinity for never. */
  readonly expireTime: number;
  /** It was recalled, and must not be sent any more. */
  recalled = false;
  /** It may have been recalled: ask the Store before sending it. */
  doubtful = false;
  /** The `cost` that its ring has counted. Only the ring sets it. */
  counted = 0;
  #alerting: BodyFrame | undefined;
  #summary: MessageSummary | undefined;

  /**
   * `stored`: unset for a message that is not stored. `report`: called when a codec cannot encode the message. `shared`:
   * whether several streams may send it.
   */
  constructor(
    body: Uint8Array,
    expireTime: number,
    stored?: { id: string; seq: number; position: FramePosition },
    report?: ReportUnencodable,
    shared = true,
  ) {
    super({ body, position: stored?.position, report }, shared, false);
    this.seq = stored?.seq ?? 0;
    this.id = stored?.id ?? "";
    this.expireTime = expireTime;
  }

  /** The epoch of its feed; 0 for a message that is not stored. */
  get epoch(): number {
    return this.source.position?.epoch ?? 0;
  }

  /** The same event for the one page of a user that alerts. */
  get alerting(): Frame {
    this.#alerting ??= new BodyFrame(this.source, this.shared, true);
    return this.#alerting;
  }

  /** The message in the event. */
  get message(): Message {
    return this.response.event.value as Message;
  }

  /** What filters, totals and alerts ask about the message; kept by `release`. */
  get summary(): MessageSummary {
    this.#summary ??= summaryOf(this.message);
    return this.#summary;
  }

  /** Bytes of memory that it takes, without a decoded event, which `release` frees. */
  get cost(): number {
    return frameBytes + this.source.body.length + this.encodedBytes + (this.#alerting?.encodedBytes ?? 0);
  }

  override release(): void {
    super.release();
    this.#alerting?.release();
  }
}

function summaryOf({ kind, category, event, receiverId, actor, publishTime }: Message): MessageSummary {
  const ms = publishTime ? timestampMs(publishTime) : 0;
  return { kind, category, event, receiverId, actorId: actor?.id ?? "", publishTime: ms };
}

function decode(body: Uint8Array, extra: MessageInitShape<typeof MessageSchema>): Message {
  return Object.assign(fromBinary(MessageSchema, body), extra);
}

/** Decodes a stored message, with its position. */
export function decodeMessage(body: Uint8Array, position: FramePosition): Message {
  return decode(body, { position: create(PositionSchema, position) });
}

/**
 * Returns the message, or a copy without its payload where JSON cannot express it: earlier versions stored such payloads,
 * and one of them must not make a stream or a list unreadable. Reports the id of such a message.
 */
export function toEncodable(message: Message, report: ReportUnencodable | undefined): Message {
  const { payload } = message;
  if (payload.case !== "json" || jsonFlaw(payload.value) === undefined) return message;
  report?.(message.id);
  return { ...message, payload: { case: undefined } };
}
