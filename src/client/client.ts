/** The client for Protobuf messages, over the WebSocket bridge or a Connect stream. */
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import type { Message } from "../../gen/tidings/v1/message_pb.ts";
import {
  type DeleteMessagesResponse,
  type ListMessagesRequestSchema,
  type ListMessagesResponse,
  type ListUnreadRequestSchema,
  type ListUnreadResponse,
  type MarkReadResponse,
  type OnlineCountResponse,
  type PublishBatchResponse,
  PublishBatchResponseSchema,
  type PublishOutcome,
  type PublishResponse,
  PushService,
} from "../../gen/tidings/v1/push_service_pb.ts";
import { type Caller, type SubscribeInit, type SubscribeOptions, transportCaller } from "./calls/caller.ts";
import { fetchCaller } from "./calls/fetch-caller.ts";
import { publishAll, splitBatch, withRequestId } from "./calls/publish.ts";
import { withRetries } from "./calls/retry.ts";
import { type CallOptions, callWithToken } from "./calls/unary.ts";
import { anArray, anObject, check, numbers, oneOf, withMethods } from "./check.ts";
import {
  checkInit,
  markInit,
  onlineInit,
  type PublishInit,
  protoCodec,
  publishInit,
  readEvent,
  readTotals,
  subscribeInit,
} from "./codec/proto.ts";
import { Session } from "./connection/session.ts";
import type { TidingsEvent as EventOf, OpenStream } from "./events.ts";
import { type BaseOptions, type BaseSettings, resolveBase, splitSubscribe } from "./options.ts";
import {
  type DeleteRequest,
  deleteRequest,
  listMessagesRequest,
  listUnreadRequest,
  type MarkRequest,
  type OnlineRequest,
  type PublishRequest,
} from "./requests.ts";
import { autoStream } from "./streams/auto.ts";
import { connectStream } from "./streams/connect.ts";
import { webSocketStream } from "./streams/ws.ts";
import { streamOf, type TidingsStream } from "./tidings.ts";

/**
 * The transport of the stream. `auto` is the WebSocket bridge, and a Connect stream where WebSockets do not get
 * through.
 */
export type TransportChoice = "auto" | "connect" | "ws";

/** The options of connectTidings. */
export interface TidingsOptions extends BaseOptions {
  /** The transport of the stream. Default `auto`. Other calls always use HTTP. */
  readonly transport?: TransportChoice;
  /** The subscription. Default: everything that the token entitles the caller to, and no rooms. */
  readonly subscribe?: SubscribeOptions;
  /**
   * A transport of the Connect libraries, for tests and special environments such as gRPC in Node. It carries all
   * calls, and the stream unless that uses the bridge.
   */
  readonly connect?: Transport;
}

/** An event of events(). */
export type TidingsEvent = EventOf<Message>;

/**
 * A connected client. Its calls reject with a TidingsError when they fail, and with a TypeError that names the argument
 * when one is of a wrong type or has an unknown key; then nothing is sent. A call whose token is refused is repeated
 * once, with a fresh token.
 */
export interface TidingsClient extends TidingsStream<Message> {
  /** Marks messages as read, or as unread again. */
  markRead(request: MarkRequest, options?: CallOptions): Promise<MarkReadResponse>;
  /** Lists unread messages, newest first, with totals. */
  listUnread(
    request?: MessageInitShape<typeof ListUnreadRequestSchema>,
    options?: CallOptions,
  ): Promise<ListUnreadResponse>;
  /** Lists stored messages, read or not, newest first. */
  listMessages(
    request?: MessageInitShape<typeof ListMessagesRequestSchema>,
    options?: CallOptions,
  ): Promise<ListMessagesResponse>;
  /** Deletes messages from the caller's inbox; a service recalls them from every inbox. */
  deleteMessages(request: DeleteRequest, options?: CallOptions): Promise<DeleteMessagesResponse>;
  /** Counts the users who are online. */
  onlineCount(request?: OnlineRequest, options?: CallOptions): Promise<OnlineCountResponse>;
  /**
   * Publishes one message, given in the plain form or in the contract's. For services, and for users to rooms.
   * It is retried until `timeoutMs` is over, always with the same `requestId`, if need be a random one, so that the message
   * is published once. To repeat the call after that, give it a `requestId` of your own.
   */
  publish(request: PublishRequest | PublishInit, options?: CallOptions): Promise<PublishResponse>;
  /**
   * Publishes any number of messages, in either form, with an outcome for each. For services. Sends up to 1,000 messages, or
   * about 1 MiB, as one call, and one call after the other. Each is retried as publish() is, and messages that fail for now
   * are repeated in it. Rejects where a call fails as a whole; the messages of the calls before it are then published.
   */
  publishBatch(
    requests: readonly (PublishRequest | PublishInit)[],
    options?: CallOptions,
  ): Promise<PublishBatchResponse>;
}

/**
 * Connects to a Tidings server, and reconnects until close() or an error that a retry cannot resolve. Returns at once,
 * so that listeners added right after it miss nothing. Throws a TypeError or RangeError that names the option at fault,
 * and a TypeError for an option that does not exist.
 */
export function connectTidings(options: TidingsOptions): TidingsClient {
  const base = resolveBase(options, {
    transport: oneOf("auto", "connect", "ws"),
    connect: withMethods("unary", "stream"),
  });
  const caller = options.connect ? transportCaller(options.connect) : fetchCaller(base.url, base.fetch);
  const { rooms, filters } = splitSubscribe(options.subscribe ?? {}, { kinds: numbers });
  const fixed = { ...filters, instanceId: base.instanceId };
  const session = new Session<Message>({
    ...base,
    open: chooseStream(options.transport ?? "auto", fixed, caller, base),
    rooms,
  });

  async function call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I>,
    callOptions: CallOptions = {},
  ): Promise<MessageShape<O>> {
    return callWithToken(session, callOptions, caller.unary(method, init));
  }
  const { method } = PushService;
  const retries = { ...base, signal: session.signal };
  return {
    ...streamOf(session),
    async markRead(request, callOptions) {
      const response = await call(method.markRead, markInit(request), callOptions);
      session.intake.badge.answer(readTotals(response.unread));
      return response;
    },
    async listUnread(request = {}, callOptions) {
      const checked = listUnreadRequest(request, times);
      const response = await call(method.listUnread, checkInit(method.listUnread.input, checked), callOptions);
      session.intake.badge.answer(readTotals(response.unread));
      return response;
    },
    async deleteMessages(request, callOptions) {
      const response = await call(method.deleteMessages, deleteRequest(request), callOptions);
      session.intake.badge.answer(readTotals(response.unread));
      return response;
    },
    async listMessages(request = {}, callOptions) {
      const checked = listMessagesRequest(request, { ...times, kinds: numbers });
      return call(method.listMessages, checkInit(method.listMessages.input, checked), callOptions);
    },
    onlineCount: async (request = {}, callOptions) => call(method.onlineCount, onlineInit(request), callOptions),
    async publish(request, callOptions = {}) {
      const init = withRequestId(publishInit(request));
      return withRetries(retries, callOptions, (left) => call(method.publish, init, left));
    },
    async publishBatch(requests, callOptions = {}) {
      check("requests", requests, anArray);
      const outcomes: PublishOutcome[] = [];
      for (const part of splitBatch(Array.from(requests, publishInit))) {
        const send = (some: PublishInit[], left: CallOptions) => call(method.publishBatch, { requests: some }, left);
        outcomes.push(...(await publishAll(retries, callOptions, part, send)));
      }
      return create(PublishBatchResponseSchema, { outcomes });
    },
  };
}

/** Filters by time, which are strings in JSON, are Timestamps here. */
const times = { startTime: anObject, endTime: anObject };

function chooseStream(
  choice: TransportChoice,
  filters: SubscribeInit,
  caller: Caller,
  { socketUrl, WebSocket }: BaseSettings,
): OpenStream<Message> {
  const connect = connectStream(
    (request, signal) => caller.subscribe(subscribeInit(filters, request), request.token, signal),
    readEvent,
  );
  if (choice === "connect" || (choice === "auto" && WebSocket === undefined)) return connect;
  if (WebSocket === undefined) throw new TypeError("transport: this environment has no WebSocket; use connect");
  const ws = webSocketStream(socketUrl, protoCodec(filters), WebSocket);
  return choice === "ws" ? ws : autoStream(ws, connect);
}
