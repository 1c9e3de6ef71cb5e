/** From plain requests to the contract's JSON. */
import type { PublishRequestJson, SubscribeRequestJson } from "../../../gen/tidings/v1/push_service_pb.ts";
import type { StreamRequest } from "../events.ts";
import {
  type MarkRequest,
  type Oneof,
  type OnlineRequest,
  type PublishRequest,
  splitMark,
  splitOnline,
  splitPublish,
} from "../requests.ts";

/** A request of Subscribe: what stays, and what each stream begins with. */
export function subscribeJson(filters: SubscribeRequestJson, request: StreamRequest): SubscribeRequestJson {
  const rooms = request.rooms.map(({ roomId, mode }) => ({ roomId, mode: named("ROOM_MODE_", mode) }));
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
      kind: named("KIND_", kind),
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

/** In JSON a oneof is nothing but the field that is set. */
function fieldOf<T>(oneof: Oneof<T>): Partial<T> {
  return ("value" in oneof ? { [oneof.case]: oneof.value } : {}) as Partial<T>;
}

function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function named<P extends string, W extends string>(prefix: P, word: W) {
  return `${prefix}${word.toUpperCase() as Uppercase<W>}` as const;
}
