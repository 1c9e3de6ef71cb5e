/** The calls of a client, as a scenario answers them. */
import { create, type DescMethodUnary, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import {
  Kind,
  type Message,
  MessageSchema,
  type Position,
  PositionSchema,
} from "../../../gen/tidings/v1/message_pb.ts";
import {
  type HelloSchema,
  type PushService,
  type SubscribeRequest,
  SubscribeResponseSchema,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import { reasonOf, retryAfterOf } from "../../errors.ts";
import type { Exchange } from "./exchange.ts";
import { type RawMessage, rawOf } from "./form.ts";

/** An event, as the generated code takes it. */
export type EventInit = NonNullable<MessageInitShape<typeof SubscribeResponseSchema>["event"]>;

/** A message of a scenario, as the generated code takes it; its position is that of `note`. */
export type MessageInit = MessageInitShape<typeof MessageSchema>;

/** The names of the unary methods. */
export type UnaryName = Exclude<keyof typeof PushService.method, "subscribe">;

/** A call before its answer. */
export interface CallInfo {
  /** When it arrived, in ms of the monotonic clock. */
  readonly at: number;
  readonly token: string;
  readonly exchange: Exchange;
}

/** A call of a unary method. */
export class UnaryCall<N extends UnaryName> {
  readonly at: number;
  readonly token: string;
  readonly request: MessageShape<(typeof PushService.method)[N]["input"]>;
  readonly #method: (typeof PushService.method)[N];
  readonly #exchange: Exchange;

  constructor(
    method: (typeof PushService.method)[N],
    request: MessageShape<(typeof PushService.method)[N]["input"]>,
    { at, token, exchange }: CallInfo,
  ) {
    this.#method = method;
    this.request = request;
    this.at = at;
    this.token = token;
    this.#exchange = exchange;
  }

  /** Answers the call. */
  reply(init: MessageInitShape<(typeof PushService.method)[N]["output"]>): void {
    const { output } = this.#method as DescMethodUnary;
    void this.#exchange.send(rawOf(output, create(output, init as never)));
    this.#exchange.end();
  }

  /** Answers with an error. */
  fail(error: ConnectError): void {
    this.#exchange.end(error);
  }

  /** Resets the connection instead of an answer: the client cannot know whether the call had an effect. */
  reset(): void {
    this.#exchange.reset();
  }
}

/** A stream. */
export class StreamCall {
  readonly at: number;
  readonly token: string;
  readonly request: SubscribeRequest;
  /** Resolves when the client has dropped the stream, or it is lost. */
  readonly gone: Promise<void>;
  /** When it was dropped or lost, in ms of the monotonic clock; undefined while it is open. */
  goneAt: number | undefined;
  /** Frames without content are answered with heartbeats, over the bridge. */
  answersPings = true;
  readonly #exchange: Exchange;

  constructor(request: SubscribeRequest, { at, token, exchange }: CallInfo) {
    this.request = request;
    this.at = at;
    this.token = token;
    this.#exchange = exchange;
    this.gone = exchange.gone.then(() => {
      this.goneAt = performance.now();
    });
  }

  /** Whether the stream runs over the WebSocket bridge. */
  get isBridge(): boolean {
    return this.#exchange.form.protocol === "bridge";
  }

  /** The seq that the request names for a feed; undefined for a feed without a position. */
  seqOf(feed: string): number | undefined {
    const found = this.request.positions.find((position) => position.feed === feed);
    return found && Number(found.seq);
  }

  /** Sends Hello. Unless it says otherwise, the stream may be silent for 30 s, and starts where the request says. */
  hello({ heartbeatMs = 30_000, ...init }: HelloInit = {}): Promise<void> {
    const value = { subscriptionId: "kit", heartbeatInterval: durationFromMs(heartbeatMs), ...init };
    return this.send({ case: "hello", value: { positions: this.request.positions, ...value } });
  }

  /** Sends CaughtUp, with these positions. */
  caughtUp(...positions: readonly Position[]): Promise<void> {
    return this.send({ case: "caughtUp", value: { positions: [...positions] } });
  }

  /** Sends messages. Resolves when the last one has left the process. */
  async messages(...messages: readonly Message[]): Promise<void> {
    await Promise.all(messages.map((value) => this.send({ case: "message", value })));
  }

  /** Sends one event. */
  send(event: EventInit): Promise<void> {
    return this.#exchange.send(rawOfEvent(event));
  }

  /** Sends an event that the generated code does not know. */
  sendRaw(raw: RawMessage): Promise<void> {
    return this.#exchange.send(raw);
  }

  /** Sends the first half of an event, and resets the connection. */
  async cut(event: EventInit): Promise<void> {
    await this.half(event);
    this.reset();
  }

  /** Sends the first half of an event. */
  half(event: EventInit): Promise<void> {
    return this.#exchange.half(rawOfEvent(event));
  }

  /** Sends an event in pieces of this size. */
  pieces(event: EventInit, bytes: number): Promise<void> {
    return this.#exchange.pieces(rawOfEvent(event), bytes);
  }

  /** Resets the connection. */
  reset(): void {
    this.#exchange.reset();
  }

  /** Ends the stream. Over the bridge, the delay of an error is in a GoAway before it, as on a server. */
  end(error?: ConnectError): void {
    const afterMs = error && retryAfterOf(error);
    if (error && afterMs !== undefined && this.isBridge) {
      const value = {
        reconnectAfter: durationFromMs(afterMs),
        message: error.rawMessage,
        reason: reasonOf(error) ?? "",
      };
      void this.send({ case: "goAway", value });
    }
    this.#exchange.end(error);
  }
}

/** A Hello, with its interval in ms. */
export type HelloInit = MessageInitShape<typeof HelloSchema> & { readonly heartbeatMs?: number };

/** A position in the first epoch, unless another is named. */
export function at(feed: string, seq: number, epoch = 1): Position {
  return create(PositionSchema, { feed, epoch, seq: String(seq) });
}

/** A NOTIFICATION at a position. */
export function note(seq: number, feed = "user", epoch = 1, init: object = {}): Message {
  return create(MessageSchema, {
    id: `${feed}-${epoch}-${seq}`,
    kind: Kind.NOTIFICATION,
    event: "message",
    title: `message ${seq}`,
    position: at(feed, seq, epoch),
    ...init,
  });
}

/** NOTIFICATIONs at the positions `from` to `to` of the user's feed. */
export function notes(from: number, to: number): Message[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => note(from + index));
}

/** A duration, for the fields of events. */
export function duration(milliseconds: number): Duration {
  return durationFromMs(milliseconds);
}

function rawOfEvent(event: EventInit): RawMessage {
  return rawOf(SubscribeResponseSchema, create(SubscribeResponseSchema, { event }));
}
