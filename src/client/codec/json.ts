/**
 * JSON: the frames of the WebSocket bridge, from the contract's form to the plain events of a session, and from plain
 * requests to the contract's form. No Protobuf runtime.
 */
import type { BridgeFrameJson } from "../../../gen/tidings/v1/bridge_pb.ts";
import type { MessageJson, PositionJson, UnreadTotalsJson } from "../../../gen/tidings/v1/message_pb.ts";
import type {
  PublishRequestJson,
  SubscribeRequestJson,
  SubscribeResponseJson,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import { anArray, check } from "../check.ts";
import type { Position, StreamEvent, StreamRequest, UnreadTotals } from "../events.ts";
import {
  type MarkRequest,
  type OnlineRequest,
  type PublishRequest,
  splitMark,
  splitOnline,
  splitPublish,
} from "../requests.ts";
import { isSeq } from "../state/positions.ts";
import type { FrameCodec } from "../streams/ws.ts";
import { failure } from "../tidings-error.ts";

/** The codec of streams that subscribe with these filters. */
export function jsonCodec(filters: SubscribeRequestJson): FrameCodec<MessageJson> {
  return {
    subprotocol: "tidings.v1.json",
    ping: "{}",
    encode: (request) =>
      JSON.stringify({ token: request.token, subscribe: subscribeJson(filters, request) } satisfies BridgeFrameJson),
    decode: readEvent,
  };
}

/** The fields that JSON leaves out when they have their default, by the name of the event. */
const defaults: Readonly<Record<string, object>> = {
  hello: { subscriptionId: "", positions: [] },
  readState: { readIds: [], unreadIds: [], deletedIds: [], all: false },
  online: { users: 0, connections: 0 },
  caughtUp: { positions: [] },
  gap: {},
  room: { roomId: "", reason: "", message: "", code: "" },
  heartbeat: { positions: [] },
  goAway: {},
};

/** How a field of an event is decoded; the others are taken as they are. */
const decoders: Readonly<Record<string, (value: never) => unknown>> = {
  positions: (positions: readonly PositionJson[]) => positions.map(readPosition),
  after: readPosition,
  to: readPosition,
  unread: readTotals,
  online: (online: object) => ({ ...defaults.online, ...online }),
  heartbeatInterval: readDuration,
  reconnectAfter: readDuration,
  status: (status: string) => status.slice("STATUS_".length).toLowerCase(),
};

/** Decodes one event of a stream. Throws a TidingsError for a text that no server sends. */
export function readEvent(text: unknown): StreamEvent<MessageJson> {
  try {
    return eventOf(JSON.parse(text as string) as SubscribeResponseJson);
  } catch (cause) {
    throw failure("internal", "the server sent a malformed event", cause);
  }
}

function eventOf(json: SubscribeResponseJson): StreamEvent<MessageJson> {
  const { message } = json;
  if (message) {
    return {
      type: "message",
      message,
      position: message.position && readPosition(message.position),
      category: message.category ?? "",
      notification: message.kind === "KIND_NOTIFICATION",
    };
  }
  // An event of a newer server has another name.
  const type = Object.keys(json).find((name) => name in defaults) ?? "unknown";
  const event: Record<string, unknown> = { ...defaults[type], ...json[type as keyof SubscribeResponseJson], type };
  for (const [field, decode] of Object.entries(decoders)) {
    if (event[field]) event[field] = decode(event[field] as never);
  }
  return event as unknown as StreamEvent<MessageJson>;
}

/** Unread totals, with defaults for the fields that JSON leaves out. */
export function readTotals(json: UnreadTotalsJson | undefined): UnreadTotals | undefined {
  return json && { total: 0, byCategory: {}, ...json, version: checkSeq(json.version) };
}

function readPosition(json: PositionJson): Position {
  return { feed: "", epoch: 0, ...json, seq: checkSeq(json.seq) };
}

function checkSeq(seq = "0"): string {
  if (!isSeq(seq)) throw new TypeError(`not a decimal number: ${seq}`);
  return seq;
}

/** A Duration, such as `1.5s`, in ms. */
function readDuration(text: string): number {
  return Number.parseFloat(text) * 1000;
}

/** A request of Subscribe: the client's filters, with the positions and rooms of one stream. */
export function subscribeJson(filters: SubscribeRequestJson, request: StreamRequest): SubscribeRequestJson {
  const rooms = request.rooms.map(({ roomId, mode }) => ({
    roomId,
    mode: `ROOM_MODE_${mode.toUpperCase() as Uppercase<typeof mode>}` as const,
  }));
  return { ...filters, positions: [...request.positions], rooms };
}

/** A request of Publish, from either form; `index` is its position in a batch. Throws as splitPublish does. */
export function publishJson(publish: PublishRequest | PublishRequestJson, index?: number): PublishRequestJson {
  const parts = splitPublish(publish, index);
  if (parts === undefined) return publish as PublishRequestJson;
  const { envelope, audience, kind, payload, ttlMs, draft } = parts;
  const { json, binary } = payload;
  return {
    ...envelope,
    audience,
    message: {
      ...draft,
      kind: `KIND_${kind}`,
      json,
      binary: binary && toBase64(binary),
      ttl: ttlMs === undefined ? ttlMs : `${ttlMs / 1000}s`,
    },
  } as PublishRequestJson;
}

/** A request of PublishBatch. Throws as splitPublish does, and a TypeError unless the requests are an array. */
export function publishBatchJson(requests: readonly (PublishRequest | PublishRequestJson)[]): object {
  check("requests", requests, anArray);
  return { requests: Array.from(requests, publishJson) };
}

/** A request of MarkRead. Throws as splitMark does. */
export function markJson(request: MarkRequest): object {
  const { target, rest } = splitMark(request);
  return { ...rest, ...target };
}

/** A request of OnlineCount. Throws as splitOnline does. */
export function onlineJson(request: OnlineRequest): object {
  const { scope, rest } = splitOnline(request);
  return { ...rest, ...scope };
}

function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
