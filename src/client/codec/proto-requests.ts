/** From plain requests to Protobuf ones. */
import type { JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import { NullValue, type ValueSchema } from "@bufbuild/protobuf/wkt";
import { Kind } from "../../../gen/tidings/v1/message_pb.ts";
import {
  type MarkReadRequestSchema,
  type OnlineCountRequestSchema,
  type PublishRequestSchema,
  RoomMode,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import type { SubscribeInit } from "../calls/caller.ts";
import type { StreamRequest } from "../events.ts";
import {
  type MarkRequest,
  type OnlineRequest,
  type PublishRequest,
  splitMark,
  splitOnline,
  splitPublish,
} from "../requests.ts";

/** A request of Publish in the contract's form. */
export type PublishInit = MessageInitShape<typeof PublishRequestSchema>;

/** A request of Subscribe: what stays, and what each stream begins with. */
export function subscribeInit(filters: SubscribeInit, request: StreamRequest): SubscribeInit {
  const rooms = request.rooms.map(({ roomId, mode }) => ({
    roomId,
    mode: RoomMode[mode.toUpperCase() as Uppercase<typeof mode>],
  }));
  return { ...filters, positions: [...request.positions], rooms };
}

/** A request of Publish, from either form; `index` is its position in a batch. Throws as splitPublish does. */
export function publishInit(publish: PublishRequest | PublishInit, index?: number): PublishInit {
  const parts = splitPublish(publish, index);
  if (parts === undefined) return publish as PublishInit;
  const { envelope, to, kind, payload, ttlMs, draft } = parts;
  return {
    ...envelope,
    audience: { to },
    message: {
      ...draft,
      kind: Kind[kind],
      payload: payload.case === "json" ? { case: "json", value: valueInit(payload.value) } : payload,
      ...(ttlMs !== undefined && {
        ttl: { seconds: BigInt(Math.floor(ttlMs / 1000)), nanos: (ttlMs % 1000) * 1_000_000 },
      }),
    },
  };
}

/** Not fromJson(), which would bring all of Protobuf's JSON format into the bundle. */
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
  return { target, categories: [...categories], unread, upTo: [...upTo] };
}

/** A request of OnlineCount. Throws as splitOnline does. */
export function onlineInit(request: OnlineRequest): MessageInitShape<typeof OnlineCountRequestSchema> {
  const { scope, rest } = splitOnline(request);
  return { ...rest, scope };
}
