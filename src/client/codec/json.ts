/**
 * JSON: the frames of the WebSocket bridge, from the contract's form to the plain events of a session, and from plain
 * requests to the contract's form. No Protobuf runtime.
 */
import type { BridgeFrameJson } from "../../../gen/tidings/v1/bridge_pb.ts";
import type { MessageJson, PositionJson, UnreadTotalsJson } from "../../../gen/tidings/v1/message_pb.ts";
import type {
  PublishRequestJson,
  RoomState_StatusJson,
  RoomStateJson,
  SubscribeRequestJson,
  SubscribeResponseJson,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import type { Position, RoomEvent, StreamEvent, StreamRequest, UnreadTotals } from "../events.ts";
import {
  type MarkRequest,
  type Oneof,
  type OnlineRequest,
  type PublishRequest,
  splitMark,
  splitOnline,
  splitPublish,
} from "../requests.ts";
import { isSeq } from "../state/positions.ts";
import type { FrameCodec } from "../streams/ws.ts";

/** The codec of streams that subscribe with these filters. */
export function jsonCodec(filters: SubscribeRequestJson): FrameCodec<MessageJson> {
  return {
    subprotocol: "tidings.v1.json",
    encode: (request) =>
      JSON.stringify({ token: request.token, subscribe: subscribeJson(filters, request) } satisfies BridgeFrameJson),
    decode(data) {
      const json: unknown = typeof data === "string" ? JSON.parse(data) : undefined;
      if (typeof json !== "object" || json === null) throw new TypeError("not a JSON object");
      return readEvent(json as SubscribeResponseJson);
    },
  };
}

/** Throws a TypeError for an event that no server sends. */
function readEvent(json: SubscribeResponseJson): StreamEvent<MessageJson> {
  const { hello, message, readState, online, caughtUp, gap, room, heartbeat, goAway } = json;
  if (hello) {
    return {
      type: "hello",
      subscriptionId: hello.subscriptionId ?? "",
      heartbeatMs: readDuration(hello.heartbeatInterval),
      unread: readTotals(hello.unread),
      online: hello.online && { users: hello.online.users ?? 0, connections: hello.online.connections ?? 0 },
      positions: readPositions(hello.positions),
    };
  }
  if (message) {
    return {
      type: "message",
      message,
      position: message.position && readPosition(message.position),
      category: message.category ?? "",
      notification: message.kind === "KIND_NOTIFICATION",
    };
  }
  if (readState) {
    const { unread, readIds = [], unreadIds = [], deletedIds = [], all = false } = readState;
    return { type: "readState", unread: readTotals(unread), readIds, unreadIds, deletedIds, all };
  }
  if (online) return { type: "online", users: online.users ?? 0, connections: online.connections ?? 0 };
  if (caughtUp) return { type: "caughtUp", positions: readPositions(caughtUp.positions) };
  if (gap) return { type: "gap", from: gap.from && readPosition(gap.from), to: gap.to && readPosition(gap.to) };
  if (room) return readRoom(room);
  if (heartbeat) return { type: "heartbeat", positions: readPositions(heartbeat.positions) };
  if (goAway) return { type: "goAway", reconnectAfterMs: readDuration(goAway.reconnectAfter) };
  return { type: "unknown" };
}

/** Unread totals, with defaults for the fields that JSON leaves out. */
export function readTotals(json: UnreadTotalsJson | undefined): UnreadTotals | undefined {
  if (json === undefined) return undefined;
  return { total: json.total ?? 0, byCategory: json.byCategory ?? {}, version: checkSeq(json.version) };
}

function readPositions(json: readonly PositionJson[] = []): Position[] {
  return json.map(readPosition);
}

function readPosition({ feed = "", epoch = 0, seq }: PositionJson): Position {
  return { feed, epoch, seq: checkSeq(seq) };
}

function checkSeq(seq = "0"): string {
  if (!isSeq(seq)) throw new TypeError(`not a decimal number: ${seq}`);
  return seq;
}

const statuses: Readonly<Partial<Record<RoomState_StatusJson, RoomEvent["status"]>>> = {
  STATUS_JOINED: "joined",
  STATUS_REFUSED: "refused",
  STATUS_KICKED: "kicked",
};

function readRoom({
  roomId = "",
  status,
  reason = "",
  message = "",
  code = "",
}: RoomStateJson): StreamEvent<MessageJson> {
  const known = status && statuses[status];
  return known === undefined ? { type: "unknown" } : { type: "room", roomId, status: known, reason, message, code };
}

/** A Duration, such as `1.5s`, in ms. */
function readDuration(text: string | undefined): number {
  const milliseconds = Number.parseFloat(text ?? "0") * 1000;
  return Number.isFinite(milliseconds) ? milliseconds : 0;
}

function subscribeJson(filters: SubscribeRequestJson, request: StreamRequest): SubscribeRequestJson {
  const rooms = request.rooms.map(({ roomId, mode }) => ({ roomId, mode: enumName("ROOM_MODE_", mode) }));
  return { ...filters, positions: [...request.positions], rooms };
}

/** A request of Publish, from either form; `index` is its position in a batch. Throws as splitPublish does. */
export function publishJson(publish: PublishRequest | PublishRequestJson, index?: number): PublishRequestJson {
  const parts = splitPublish(publish, index);
  if (parts === undefined) return publish as PublishRequestJson;
  const { envelope, to, kind, payload, ttlMs, draft } = parts;
  return {
    ...envelope,
    audience: fieldOf(to),
    message: {
      ...draft,
      kind: enumName("KIND_", kind),
      ...fieldOf(payload.case === "binary" ? { case: payload.case, value: toBase64(payload.value) } : payload),
      ...(ttlMs !== undefined && { ttl: `${ttlMs / 1000}s` }),
    },
  };
}

/** A request of MarkRead. Throws as splitMark does. */
export function markJson(request: MarkRequest): object {
  const { target, rest } = splitMark(request);
  return { ...rest, ...fieldOf(target) };
}

/** A request of OnlineCount. Throws as splitOnline does. */
export function onlineJson(request: OnlineRequest): object {
  const { scope, rest } = splitOnline(request);
  return { ...rest, ...fieldOf(scope) };
}

/** A oneof, which in JSON is the field that is set among the fields of the message. */
function fieldOf<T>(oneof: Oneof<T>): Partial<T> {
  return (oneof.case === undefined ? {} : { [oneof.case]: oneof.value }) as Partial<T>;
}

function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function enumName<P extends string, W extends string>(prefix: P, word: W) {
  return `${prefix}${word.toUpperCase() as Uppercase<W>}` as const;
}
