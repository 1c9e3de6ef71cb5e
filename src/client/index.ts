/** The entry `tidings-client`: the client with Protobuf messages, for pages and for services in Node. */
export { Kind, type Message, Scope } from "../../gen/tidings/v1/message_pb.ts";
export { directRoom, escapeId } from "../rooms/room-ids.ts";
export type { SubscribeOptions } from "./calls/caller.ts";
export type { CallOptions } from "./calls/unary.ts";
export {
  connectTidings,
  type TidingsClient,
  type TidingsEvent,
  type TidingsOptions,
  type TransportChoice,
} from "./client.ts";
export type { PublishInit } from "./codec/proto.ts";
export type { TokenSource } from "./connection/tokens.ts";
export type { TidingsState } from "./connection/transitions.ts";
export type {
  CaughtUpEvent,
  GapEvent,
  HelloEvent,
  JoinMode,
  MessageEvent,
  OnlineEvent,
  OnlineState,
  Position,
  ReadStateEvent,
  ResetEvent,
  RoomEvent,
  RoomJoin,
  TidingsListeners,
  UnreadTotals,
} from "./events.ts";
export type { DeleteRequest, MarkRequest, OnlineRequest, PublishRequest } from "./requests.ts";
export type { Observable } from "./state/observable.ts";
export type { PositionStorage } from "./state/position-saver.ts";
export type { TidingsStream } from "./tidings.ts";
export { type ErrorCode, TidingsError } from "./tidings-error.ts";
