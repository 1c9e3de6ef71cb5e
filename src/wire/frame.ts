import { create, fromBinary, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Message, MessageSchema, PositionSchema } from "../../gen/tidings/v1/message_pb.ts";
import { type SubscribeResponse, SubscribeResponseSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import type { Format } from "./formats.ts";

/** One event of a stream, encoded at most once per codec however many streams send it. */
export class Frame {
  readonly #make: () => SubscribeResponse;
  /** More than one stream may send it, so that its bytes are kept. */
  readonly shared: boolean;
  #response: SubscribeResponse | undefined;
  #alone: readonly Frame[] | undefined;
  /** By the index of a format. */
  #encoded: (Buffer | undefined)[] | undefined;

  constructor(make: () => SubscribeResponse, shared = false) {
    this.#make = make;
    this.shared = shared;
  }

  /** The event as a message; shared, never to be changed. */
  get response(): SubscribeResponse {
    this.#response ??= this.#make();
    return this.#response;
  }

  /** The batch of this frame alone: one for all streams that send no other. */
  get alone(): readonly Frame[] {
    this.#alone ??= [this];
    return this.#alone;
  }

  /** The event in Protobuf. */
  get binary(): Uint8Array {
    return toBinary(SubscribeResponseSchema, this.response);
  }

  /** The event in Protobuf's JSON. */
  get json(): string {
    return toJsonString(SubscribeResponseSchema, this.response);
  }

  /** Bytes on a wire, about. */
  get size(): number {
    return 256;
  }

  /** The event's bytes on a wire; shared, never to be changed. */
  encoded(format: Format): Buffer {
    if (!this.shared) return format.encode(this);
    this.#encoded ??= [];
    this.#encoded[format.index] ??= format.encode(this);
    return this.#encoded[format.index] as Buffer;
  }
}

/** A frame of an event that only one stream sends. */
export function eventFrame(event: MessageInitShape<typeof SubscribeResponseSchema>["event"]): Frame {
  return new Frame(() => create(SubscribeResponseSchema, { event: event as SubscribeResponse["event"] }));
}

/** Tells a client to reconnect after `afterMs`, and why: the reason of the error table, and the sentence of the error. */
export function goAwayFrame(afterMs: number, reason: string, message: string): Frame {
  const reconnectAfter = durationFromMs(Math.ceil(afterMs));
  return eventFrame({ case: "goAway", value: { reconnectAfter, reason, message } });
}

/** A place in a feed, as the contract writes it. */
export interface FramePosition {
  readonly feed: string;
  readonly epoch: number;
  readonly seq: string;
}

/** A message as all streams send it, but for what is said of its place. */
class BodyFrame extends Frame {
  readonly #body: Uint8Array;
  readonly #more: MessageInitShape<typeof MessageSchema>;

  constructor(body: Uint8Array, more: MessageInitShape<typeof MessageSchema>) {
    super(() => create(SubscribeResponseSchema, { event: { case: "message", value: decode(body, more) } }), true);
    this.#body = body;
    this.#more = more;
  }

  override get size(): number {
    return this.#body.length;
  }

  /** The publisher's bytes are copied: fields that follow a message belong to it (protobuf.dev/programming-guides/encoding). */
  override get binary(): Uint8Array {
    const more = toBinary(MessageSchema, create(MessageSchema, this.#more));
    return new BinaryWriter()
      .tag(SubscribeResponseSchema.field.message.number, WireType.LengthDelimited)
      .uint32(this.#body.length + more.length)
      .raw(this.#body)
      .raw(more)
      .finish();
  }
}

/** A message on its way to streams. */
export class MessageFrame extends BodyFrame {
  /** Its place in its feed; 0 for a message that is not kept. */
  readonly seq: number;
  /** The life of its feed; 0 for a message that is not kept. */
  readonly epoch: number;
  readonly id: string;
  /** From when on it is not sent; Infinity for never. */
  readonly expireTime: number;
  /** Bytes that it holds in memory, about. */
  readonly cost: number;
  /** It was taken back, and is not to be sent any more. */
  recalled = false;
  /** It may have been taken back: only the Store knows. */
  doubtful = false;
  /** The same event for a page that should make itself heard. */
  readonly alerting: Frame;
  #publishTime: number | undefined;
  #message: Message | undefined;

  constructor(body: Uint8Array, expireTime: number, place?: { id: string; seq: number; position: FramePosition }) {
    const more = place ? { position: create(PositionSchema, place.position) } : {};
    super(body, more);
    this.alerting = new BodyFrame(body, { ...more, alert: true });
    this.seq = place?.seq ?? 0;
    this.epoch = place?.position.epoch ?? 0;
    this.id = place?.id ?? "";
    this.expireTime = expireTime;
    this.cost = body.length * 4 + 512;
  }

  /** When it was published, in ms since the Unix epoch. */
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

function decode(body: Uint8Array, more: MessageInitShape<typeof MessageSchema>): Message {
  return Object.assign(fromBinary(MessageSchema, body), more);
}

/** A stored message with its place. */
export function decodeMessage(body: Uint8Array, position: FramePosition): Message {
  return decode(body, { position: create(PositionSchema, position) });
}
