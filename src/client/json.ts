/**
 * The entry `tidings-client/json`: the small client, without a Protobuf runtime. Its stream is JSON over the WebSocket
 * bridge, its calls are JSON of the Connect protocol over fetch.
 */
import type { MessageJson, UnreadTotalsJson } from "../../gen/tidings/v1/message_pb.ts";
import type {
  DeleteMessagesResponseJson,
  ListMessagesRequestJson,
  ListMessagesResponseJson,
  ListUnreadRequestJson,
  ListUnreadResponseJson,
  MarkReadResponseJson,
  OnlineCountResponseJson,
  PublishBatchResponseJson,
  PublishRequestJson,
  PublishResponseJson,
  SubscribeRequestJson,
} from "../../gen/tidings/v1/push_service_pb.ts";
import { postTo } from "./calls/http-call.ts";
import { type CallOptions, callWithToken } from "./calls/unary.ts";
import {
  jsonCodec,
  markJson,
  onlineJson,
  publishBatchJson,
  publishJson,
  readEvent,
  readTotals,
  subscribeJson,
} from "./codec/json.ts";
import { Session } from "./connection/session.ts";
import type { TidingsEvent as EventOf, JoinMode, RoomJoin } from "./events.ts";
import { type BaseOptions, resolveBase, splitSubscribe } from "./options.ts";
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
import { envelope, messagesOf, textOf } from "./streams/envelopes.ts";
import { webSocketStream } from "./streams/ws.ts";
import { streamOf, type TidingsStream } from "./tidings.ts";

export { directRoom, escapeId } from "../rooms/room-ids.ts";
export type { TokenSource } from "./connection/tokens.ts";
export type { TidingsState } from "./connection/transitions.ts";
export type {
  CaughtUpEvent,
  GapEvent,
  HelloEvent,
  MessageEvent,
  OnlineEvent,
  OnlineState,
  Position,
  ReadStateEvent,
  ResetEvent,
  RoomEvent,
  TidingsListeners,
  UnreadTotals,
} from "./events.ts";
export type { Observable } from "./state/observable.ts";
export type { PositionStorage } from "./state/position-saver.ts";
export { type ErrorCode, TidingsError } from "./tidings-error.ts";
export type {
  CallOptions,
  DeleteRequest,
  JoinMode,
  MarkRequest,
  MessageJson,
  OnlineRequest,
  PublishRequest,
  RoomJoin,
  TidingsStream,
};

/** A subscription: SubscribeRequest without the fields that the client fills in, and with rooms in a plainer form. */
export type SubscribeOptions = Omit<SubscribeRequestJson, "positions" | "rooms" | "instanceId"> & {
  /** The rooms to join: at most 100. join() and leave() change them later. */
  readonly rooms?: readonly RoomJoin[];
};

/** The options of connectTidings. */
export interface TidingsOptions extends BaseOptions {
  /** The subscription. Default: everything that the token entitles the caller to, and no rooms. */
  readonly subscribe?: SubscribeOptions;
}

/** An event of events(). */
export type TidingsEvent = EventOf<MessageJson>;

/**
 * A connected client. Its calls reject with a TidingsError when they fail, and with a TypeError that names the argument
 * when one is of a wrong type or has an unknown key; then nothing is sent. A call whose token is refused is repeated
 * once, with a fresh token.
 */
export interface TidingsClient extends TidingsStream<MessageJson> {
  /** Marks messages as read, or as unread again. */
  markRead(request: MarkRequest, options?: CallOptions): Promise<MarkReadResponseJson>;
  /** Lists unread messages, newest first, with totals. */
  listUnread(request?: ListUnreadRequestJson, options?: CallOptions): Promise<ListUnreadResponseJson>;
  /** Lists stored messages, read or not, newest first. */
  listMessages(request?: ListMessagesRequestJson, options?: CallOptions): Promise<ListMessagesResponseJson>;
  /** Deletes messages from the caller's inbox; a service recalls them from every inbox. */
  deleteMessages(request: DeleteRequest, options?: CallOptions): Promise<DeleteMessagesResponseJson>;
  /** Counts the users who are online. */
  onlineCount(request?: OnlineRequest, options?: CallOptions): Promise<OnlineCountResponseJson>;
  /**
   * Publishes one message, given in the plain form or in the contract's. For services, and for users to rooms. The
   * client does not retry it: after an error repeat the call with the same `requestId`, so that the message is
   * published once.
   */
  publish(request: PublishRequest | PublishRequestJson, options?: CallOptions): Promise<PublishResponseJson>;
  /** Publishes 1 to 1,000 messages, in either form, with an outcome for each. For services. */
  publishBatch(
    requests: readonly (PublishRequest | PublishRequestJson)[],
    options?: CallOptions,
  ): Promise<PublishBatchResponseJson>;
}

/**
 * Connects to a Tidings server, and reconnects until close() or an error that a retry cannot resolve. Returns at once,
 * so that listeners added right after it miss nothing. Throws a TypeError or RangeError that names the option at fault,
 * and a TypeError for an option that does not exist.
 */
export function connectTidings(options: TidingsOptions): TidingsClient {
  const base = resolveBase(options);
  const post = postTo(base.url, base.fetch);
  const { rooms, filters: own } = splitSubscribe(options.subscribe ?? {});
  const filters = { ...own, instanceId: base.instanceId };
  const connect = connectStream(
    async function* (request, signal) {
      const body = envelope(new TextEncoder().encode(JSON.stringify(subscribeJson(filters, request))));
      const response = await post("Subscribe", "application/connect+json", body, request.token, signal);
      yield* messagesOf(response.body);
    },
    (message) => readEvent(textOf(message)),
  );
  const session = new Session<MessageJson>({
    ...base,
    open: base.WebSocket
      ? autoStream(webSocketStream(base.socketUrl, jsonCodec(filters), base.WebSocket), connect)
      : connect,
    rooms,
  });

  async function call<T>(name: string, request: object, callOptions: CallOptions = {}): Promise<T> {
    // Before the call, so that a value that JSON cannot hold is the caller's TypeError rather than a failed call.
    const body = JSON.stringify(request);
    return callWithToken(session, callOptions, async (token, signal) => {
      const response = await post(name, "application/json", body, token, signal);
      const answer = (await response.json()) as T & { readonly unread?: UnreadTotalsJson };
      session.intake.badge.answer(readTotals(answer.unread));
      return answer;
    });
  }
  /** A call of a method: its arguments are the request, which `prepare` checks and encodes, and options. */
  const method =
    <R, T>(name: string, prepare: (request: R) => object, fallback?: R) =>
    async (request = fallback as R, callOptions?: CallOptions) =>
      call<T>(name, prepare(request), callOptions);

  return {
    ...streamOf(session),
    markRead: method("MarkRead", markJson),
    listUnread: method("ListUnread", listUnreadRequest, {}),
    deleteMessages: method("DeleteMessages", deleteRequest),
    listMessages: method("ListMessages", listMessagesRequest, {}),
    onlineCount: method("OnlineCount", onlineJson, {}),
    publish: method("Publish", (request) => publishJson(request)),
    publishBatch: method("PublishBatch", publishBatchJson),
  };
}
