/** From plain requests to the contract's JSON. */
import type { PublishRequestJson, SubscribeRequestJson } from "../../../gen/tidings/v1/push_service_pb.ts";
import type { StreamRequest } from "../events.ts";
import { isPlainPublish, type PublishRequest, splitPublish } from "../requests.ts";

/** A request of Subscribe: what stays, and what each stream begins with. */
export function subscribeJson(filters: SubscribeRequestJson, request: StreamRequest): SubscribeRequestJson {
  const rooms = request.rooms.map(({ roomId, mode }) => ({ roomId, mode: named("ROOM_MODE_", mode) }));
  return { ...filters, positions: [...request.positions], rooms };
}

/** A request of Publish, from either form; `index` is its position in a batch. Throws as splitPublish does. */
export function publishJson(publish: PublishRequest | PublishRequestJson, index?: number): PublishRequestJson {
  if (!isPlainPublish(publish)) return publish;
  const { request, to, kind, payload, ttlMs, draft } = splitPublish(publish, index);
  return {
    ...request,
    audience: { [to.case]: to.value },
    message: {
      ...draft,
      kind: named("KIND_", kind),
      ...(payload.case === "json" && { json: payload.value }),
      ...(payload.case === "binary" && { binary: toBase64(payload.value) }),
      ...(ttlMs !== undefined && { ttl: `${ttlMs / 1000}s` }),
    },
  };
}

/** Messages by their ids, in the contract's form. */
export function idsJson({ ids, ...rest }: { readonly ids?: readonly string[] }): object {
  return ids ? { ...rest, ids: { messageIds: ids } } : rest;
}

function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function named<P extends string, W extends string>(prefix: P, word: W) {
  return `${prefix}${word.toUpperCase() as Uppercase<W>}` as const;
}
