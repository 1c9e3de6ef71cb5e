import { create, fromBinary, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Message, MessageSchema, PositionSchema } from "../../gen/tidings/v1/message_pb.ts";
import { type SubscribeResponse, SubscribeResponseSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { jsonFlaw } from "../util/json-value.ts";
import type { Format } from "./formats.ts";
import type { ReportUnencodable } from "./unencodable.ts";

/** One event, which streams send. A shared frame is encoded once per format, however many streams send it. */
export class Frame {
  readonly #make: () => SubscribeResponse;
  /** Whether several streams may send it, so that its bytes are kept. */
  readonly shared: boolean;
  #response: SubscribeResponse | undefined;
  #alone: readonly Frame[] | undefined;
  /** By `Format.index`. */
  #encoded: (Buffer | undefined)[] | undefined;

  constructor(make: () => SubscribeResponse, shared = false) {
    this.#make = make;
    this.shared = shared;
  }

  /** The event as a message. It is shared: do not change it. */
  get response(): SubscribeResponse {
    this.#response ??= this.#make();
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
    return toJsonString(SubscribeResponseSchema, this.response);
  }

  /** Bytes on a wire, estimated. */
  get size(): number {
    return 256;
  }

  /** The event's bytes in a format. The buffer may be shared: do not change it. */
  encoded(format: Format): Buffer {
    if (!this.shared) return format.encode(this);
    this.#encoded ??= [];
    this.#encoded[format.index] ??= format.encode(this);
    return this.#encoded[format.index] as Buffer;
  }
}

/** Makes a frame that only one stream sends. */
export function eventFrame(event: MessageInitShape<typeof SubscribeResponseSchema>["event"]): Frame {
  return new Frame(() => create(SubscribeResponseSchema, { event: event as SubscribeResponse["event"] }));
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

/** A message without the members that a frame derives from its position. */
class BodyFrame extends Frame {
  readonly #body: Uint8Array;
  readonly #extra: MessageInitShape<typeof MessageSchema>;
  readonly #report: ReportUnencodable | undefined;

  /** `extra`: fields that are not in the body. */
  constructor(body: Uint8Array, extra: MessageInitShape<typeof MessageSchema>, report: ReportUnencodable | undefined) {
    super(() => create(SubscribeResponseSchema, { event: { case: "message", value: decode(body, extra) } }), true);
    this.#body = body;
    this.#extra = extra;
    this.#report = report;
  }

  override get size(): number {
    return this.#body.length;
  }

  override get jsonResponse(): SubscribeResponse {
    const { event } = this.response;
    const value = toEncodable(event.value as Message, this.#report);
    return value === event.value
      ? this.response
      : create(SubscribeResponseSchema, { event: { case: "message", value } });
  }

  /** Checks the payload only where the encoder refuses it: a check before would cost every message. */
  override get json(): string {
    try {
      return super.json;
    } catch {
      return toJsonString(SubscribeResponseSchema, this.jsonResponse);
    }
  }

  /** Copies the publisher's bytes: fields that follow a message belong to it (protobuf.dev/programming-guides/encoding). */
  override get binary(): Uint8Array {
    const extra = toBinary(MessageSchema, create(MessageSchema, this.#extra));
    return new BinaryWriter()
      .tag(SubscribeResponseSchema.field.message.number, WireType.LengthDelimited)
      .uint32(this.#body.length + extra.length)
      .raw(this.#body)
      .raw(extra)
      .finish();
  }
}

/** A message as streams send it. */
export class MessageFrame extends BodyFrame {
  /** The seq in its feed; 0 for a message that is not stored. */
  readonly seq: number;
  /** The epoch of its feed; 0 for a message that is not stored. */
  readonly epoch: number;
  /** The message's UUID; "" for a message that is not stored. */
  readonly id: string;
  /** The time from which on it is not sent, in ms since the Unix epoch; Infinity for never. */
  readonly expireTime: number;
  /** Bytes that it holds in memory, estimated. */
  readonly cost: number;
  /** It was recalled, and must not be sent any more. */
  recalled = false;
  /** It may have been recalled: ask the Store before sending it. */
  doubtful = false;
  /** The same event for the one page of a user that alerts. */
  readonly alerting: Frame;
  #publishTime: number | undefined;
  #message: Message | undefined;

  /** `stored`: unset for a message that is not stored. `report`: called when a codec cannot encode the message. */
  constructor(
    body: Uint8Array,
    expireTime: number,
    stored?: { id: string; seq: number; position: FramePosition },
    report?: ReportUnencodable,
  ) {
    const extra = stored ? { position: create(PositionSchema, stored.position) } : {};
    super(body, extra, report);
    this.alerting = new BodyFrame(body, { ...extra, alert: true }, report);
    this.seq = stored?.seq ?? 0;
    this.epoch = stored?.position.epoch ?? 0;
    this.id = stored?.id ?? "";
    this.expireTime = expireTime;
    this.cost = body.length * 4 + 512;
  }

  /** When the message was published, in ms since the Unix epoch. */
  get publishTime(): number {
    this.#publishTime ??= this.message.publishTime ? timestampMs(this.message.publishTime) : 0;
    return this.#publishTime;
  }

  /** The message in the event. */
  get message(): Message {
    this.#message ??= this.response.event.value as Message;
    return this.#message;
  }
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
