/**
 * Binary Protobuf: the frames of the WebSocket bridge, from messages to the plain events of a session, and from plain
 * requests to messages.
 */
import {
  create,
  type DescMessage,
  fromBinary,
  type JsonValue,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type Duration, durationMs, NullValue, type ValueSchema } from "@bufbuild/protobuf/wkt";
import { BridgeFrameSchema } from "../../../gen/tidings/v1/bridge_pb.ts";
import { Kind, type Message } from "../../../gen/tidings/v1/message_pb.ts";
import {
  type MarkReadRequestSchema,
  type OnlineCountRequestSchema,
  PublishRequestSchema,
  RoomMode,
  type RoomState,
  RoomState_Status as Status,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import type { SubscribeInit } from "../calls/caller.ts";
import { anObject, check, isProtobufKey, pathOf } from "../check.ts";
import type { RoomEvent, StreamEvent, StreamRequest, UnreadTotals } from "../events.ts";
import {
  type MarkRequest,
  type OnlineRequest,
  type PublishRequest,
  splitMark,
  splitOnline,
  splitPublish,
} from "../requests.ts";
import type { FrameCodec } from "../streams/ws.ts";
import { failure } from "../tidings-error.ts";

/** The codec of streams that subscribe with these filters. */
export function protoCodec(filters: SubscribeInit): FrameCodec<Message> {
  return {
    subprotocol: "tidings.v1.proto",
    ping: new Uint8Array(),
    encode: (request) =>
      toBinary(
        BridgeFrameSchema,
        create(BridgeFrameSchema, { token: request.token, subscribe: subscribeInit(filters, request) }),
      ),
    decode(data) {
      try {
        if (!(data instanceof ArrayBuffer)) throw new TypeError("not a binary frame");
        return readEvent(fromBinary(SubscribeResponseSchema, new Uint8Array(data)));
      } catch (cause) {
        throw failure("internal", "the server sent a malformed event", cause);
      }
    },
  };
}

/** One event of a stream. */
export function readEvent({ event }: SubscribeResponse): StreamEvent<Message> {
  switch (event.case) {
    case "hello": {
      const { subscriptionId, heartbeatInterval, unread, online, positions } = event.value;
      return {
        type: "hello",
        subscriptionId,
        heartbeatInterval: milliseconds(heartbeatInterval),
        unread: readTotals(unread),
        online: online && { users: online.users, connections: online.connections },
        positions,
      };
    }
    case "message": {
      const { position, category, kind } = event.value;
      const notification = kind === Kind.NOTIFICATION;
      return { type: "message", message: event.value, position, category, notification };
    }
    case "readState": {
      const { unread, readIds, unreadIds, deletedIds, all } = event.value;
      return { type: "readState", unread: readTotals(unread), readIds, unreadIds, deletedIds, all };
    }
    case "online":
      return { type: "online", users: event.value.users, connections: event.value.connections };
    case "caughtUp":
      return { type: "caughtUp", positions: event.value.positions };
    case "gap":
      return { type: "gap", after: event.value.after, to: event.value.to };
    case "room":
      return readRoom(event.value);
    case "heartbeat":
      return { type: "heartbeat", positions: event.value.positions };
    case "goAway":
      return { type: "goAway", reconnectAfter: milliseconds(event.value.reconnectAfter) };
    default:
      return { type: "unknown" };
  }
}

/** Unread totals, without the fields that Protobuf adds to every message. */
export function readTotals(totals: UnreadTotals | undefined): UnreadTotals | undefined {
  return totals && { total: totals.total, byCategory: totals.byCategory, version: totals.version };
}

const statuses: Readonly<Record<number, RoomEvent["status"]>> = {
  [Status.JOINED]: "joined",
  [Status.REFUSED]: "refused",
  [Status.KICKED]: "kicked",
};

function readRoom({ roomId, status, reason, message, code }: RoomState): StreamEvent<Message> {
  const known = statuses[status];
  return known === undefined ? { type: "unknown" } : { type: "room", roomId, status: known, reason, message, code };
}

function milliseconds(duration: Duration | undefined): number {
  return duration === undefined ? 0 : durationMs(duration);
}

/** A request of Subscribe: the client's filters, with the positions and rooms of one stream. */
export function subscribeInit(filters: SubscribeInit, request: StreamRequest): SubscribeInit {
  const rooms = request.rooms.map(({ roomId, mode }) => ({
    roomId,
    mode: RoomMode[mode.toUpperCase() as Uppercase<typeof mode>],
  }));
  return { ...filters, positions: [...request.positions], rooms };
}

/** A request of Publish in the contract's form. */
export type PublishInit = MessageInitShape<typeof PublishRequestSchema>;

/** A request of Publish, from either form; `index` is its position in a batch. Throws as splitPublish does. */
export function publishInit(publish: PublishRequest | PublishInit, index?: number): PublishInit {
  const parts = splitPublish(publish, index);
  if (parts === undefined) return checkInit(PublishRequestSchema, publish as PublishInit, index);
  const { envelope, audience, kind, payload, ttlMs, draft } = parts;
  const { json, binary } = payload;
  return {
    ...envelope,
    audience: { to: oneofOf(audience) },
    message: {
      ...draft,
      kind: Kind[kind],
      payload: oneofOf({ json: json === undefined ? json : valueInit(json), binary }),
      ...(ttlMs !== undefined && {
        ttl: { seconds: BigInt(Math.floor(ttlMs / 1000)), nanos: (ttlMs % 1000) * 1_000_000 },
      }),
    },
  } as PublishInit;
}

/** A oneof of Protobuf. */
type Oneof<T> =
  | { [K in keyof T]-?: { readonly case: K; readonly value: Exclude<T[K], undefined> } }[keyof T]
  | { readonly case: undefined; readonly value?: undefined };

/** The oneof of these fields, of which at most one is set. */
function oneofOf<T extends object>(fields: T): Oneof<T> {
  const [name, value] = Object.entries(fields).find(([, value]) => value !== undefined) ?? [];
  return { case: name, value } as Oneof<T>;
}

/**
 * Returns a request in the contract's form. Throws a TypeError for a key that its message does not have, at any depth:
 * Protobuf would leave it out without a word. `index` is its position in a batch.
 */
export function checkInit<T extends object>(desc: DescMessage, init: T, index?: number): T {
  checkKeys(index === undefined ? "request" : `requests[${index}]`, desc, init);
  return init;
}

function checkKeys(name: string, desc: DescMessage, init: unknown): void {
  // The fields of a Value are the caller's.
  if (desc.typeName === "google.protobuf.Value") return;
  check(name, init, anObject);
  for (const [key, value] of Object.entries(init as object)) {
    if (value === undefined || isProtobufKey(key)) continue;
    const member = knownIn(desc.members, name, "key", key);
    const path = pathOf(name) + key;
    if (member.kind === "oneof") {
      check(path, value, anObject);
      if (value.case === undefined) continue;
      const field = knownIn(member.fields, path, "case", value.case);
      if (field.message) checkKeys(path, field.message, value.value);
    } else if (member.fieldKind === "message") checkKeys(path, member.message, value);
  }
}

function knownIn<T extends { readonly localName: string }>(all: readonly T[], name: string, what: string, key: string) {
  const known = all.find(({ localName }) => localName === key);
  if (known) return known;
  const names = all.map(({ localName }) => localName).join(", ");
  throw new TypeError(`${name}: unknown ${what} ${key}; known ${what}s are ${names}`);
}

/** A google.protobuf.Value. Not by fromJson(), which would bring all of Protobuf's JSON format into the bundle. */
function valueInit(json: JsonValue): MessageInitShape<typeof ValueSchema> {
  if (json === null) return { kind: { case: "nullValue", value: NullValue.NULL_VALUE } };
  if (typeof json === "number") return { kind: { case: "numberValue", value: json } };
  if (typeof json === "string") return { kind: { case: "stringValue", value: json } };
  if (typeof json === "boolean") return { kind: { case: "boolValue", value: json } };
  if (Array.isArray(json)) return { kind: { case: "listValue", value: { values: json.map(valueInit) } } };
  const fields = Object.fromEntries(Object.entries(json).map(([key, value]) => [key, valueInit(value)]));
  return { kind: { case: "structValue", value: { fields } } };
}

/** A request of MarkRead. Throws as splitMark does. */
export function markInit(request: MarkRequest): MessageInitShape<typeof MarkReadRequestSchema> {
  const { target, rest } = splitMark(request);
  const { categories = [], unread = false, upTo = [] } = rest;
  return { target: oneofOf(target), categories: [...categories], unread, upTo: [...upTo] };
}

/** A request of OnlineCount. Throws as splitOnline does. */
export function onlineInit(request: OnlineRequest): MessageInitShape<typeof OnlineCountRequestSchema> {
  const { scope, rest } = splitOnline(request);
  return { ...rest, scope: oneofOf(scope) };
}
