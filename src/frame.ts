import { create, fromBinary, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Message, MessageSchema, PositionSchema } from "../gen/tidings/v1/message_pb.ts";
import { type SubscribeResponse, SubscribeResponseSchema } from "../gen/tidings/v1/push_service_pb.ts";

/** One event of a stream, encoded at most once per codec however many streams send it. */
export class Frame {
  readonly #make: () => SubscribeResponse;
  #response: SubscribeResponse | undefined;
  #binary: Uint8Array | undefined;
  #json: string | undefined;

  constructor(make: () => SubscribeResponse) {
    this.#make = make;
  }

  /** The event as a message; shared, never to be changed. */
  get response(): SubscribeResponse {
    this.#response ??= this.#make();
    return this.#response;
  }

  /** The event in Protobuf. */
  get binary(): Uint8Array {
    this.#binary ??= toBinary(SubscribeResponseSchema, this.response);
    return this.#binary;
  }

  /** The event in Protobuf's JSON. */
  get json(): string {
    this.#json ??= toJsonString(SubscribeResponseSchema, this.response);
    return this.#json;
  }
}

/** A frame of an event that only one stream sends. */
export function eventFrame(event: MessageInitShape<typeof SubscribeResponseSchema>["event"]): Frame {
  return new Frame(() => create(SubscribeResponseSchema, { event: event as SubscribeResponse["event"] }));
}

/** A place in a feed, as the contract writes it. */
export interface FramePosition {
  readonly feed: string;
  readonly epoch: number;
  readonly seq: string;
}

/** A message on its way to streams. */
export class MessageFrame extends Frame {
  /** Its place in its feed; 0 for a message that is not kept. */
  readonly seq: number;
  readonly id: string;
  /** From when on it is not sent; Infinity for never. */
  readonly expireTime: number;
  /** Bytes that it holds in memory, about. */
  readonly cost: number;
  /** It was taken back, and is not to be sent any more. */
  recalled = false;
  #alerting: Frame | undefined;

  constructor(body: Uint8Array, expireTime: number, place?: { id: string; seq: number; position: FramePosition }) {
    super(() =>
      create(SubscribeResponseSchema, { event: { case: "message", value: decodeMessage(body, place?.position) } }),
    );
    this.seq = place?.seq ?? 0;
    this.id = place?.id ?? "";
    this.expireTime = expireTime;
    this.cost = body.length * 4 + 512;
  }

  /** The same event for a page that should make itself heard. */
  get alerting(): Frame {
    this.#alerting ??= new Frame(() =>
      create(SubscribeResponseSchema, { event: { case: "message", value: { ...this.message, alert: true } } }),
    );
    return this.#alerting;
  }

  /** When it was published, in ms since the Unix epoch. */
  get publishTime(): number {
    const { publishTime } = this.message;
    return publishTime ? timestampMs(publishTime) : 0;
  }

  /** The message in the event. */
  get message(): Message {
    return this.response.event.value as Message;
  }
}

/** A stored message with its place. */
export function decodeMessage(body: Uint8Array, position: FramePosition | undefined): Message {
  const message = fromBinary(MessageSchema, body);
  if (position) message.position = create(PositionSchema, position);
  return message;
}
