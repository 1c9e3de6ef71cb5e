/** The package's entry `tidings/client`: for pages, and for services in Node. */
export { Kind, type Message, Scope } from "../../gen/tidings/v1/message_pb.ts";
export { directRoom, escapeId } from "../room-ids.ts";
export type { SubscribeOptions } from "./caller.ts";
export {
  connectTidings,
  type PublishInit,
  type TidingsClient,
  type TidingsEvent,
  type TidingsOptions,
  type TransportChoice,
} from "./client.ts";
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
export type { PositionStorage } from "./keeper.ts";
export type { Observable } from "./observable.ts";
export type { DeleteRequest, MarkRequest, OnlineRequest } from "./requests.ts";
export type { RoomEntry, RoomWish } from "./room-wishes.ts";
export type { TidingsStream } from "./tidings.ts";
export { type ErrorCode, TidingsError } from "./tidings-error.ts";
export type { TokenSource } from "./tokens.ts";
export type { TidingsState } from "./transitions.ts";
export type { CallOptions } from "./unary.ts";
