/** From plain requests to the contract's JSON. */
import type { JsonValue } from "@bufbuild/protobuf";
import type { PublishRequestJson, SubscribeRequestJson } from "../../../gen/tidings/v1/push_service_pb.ts";
import type { StreamRequest } from "../events.ts";

/**
 * One message to one audience: exactly one of `roomId`, `userId`, `users`, `tenant` and `everyone`. A user publishes
 * notifications and events, and to rooms only.
 */
export interface PublishRequest {
  /** The members of a room; directRoom() makes that of two users. */
  readonly roomId?: string;
  /** One user; an activity goes to the whole tenant, with this user as its receiver. */
  readonly userId?: string;
  /** Several users: 1 to 10,000. Not for an activity. */
  readonly users?: readonly string[];
  /** Every user of the tenant. */
  readonly tenant?: true;
  /** Every user of every tenant. */
  readonly everyone?: true;
  /** A `notification` is unread until marked, an `activity` is stored, an `event` is live, or kept for its `ttlMs`. */
  readonly kind: "notification" | "activity" | "event";
  /** One line of plain text: at most 512 characters. */
  readonly title?: string;
  /** Plain text. */
  readonly content?: string;
  /** Where a click leads: https, http or relative; at most 2,048 characters. */
  readonly url?: string;
  /** By what readers filter, count and mute: at most 64 characters. */
  readonly category?: string;
  /** The name that pages listen for: at most 128 characters. Default `message`. */
  readonly event?: string;
  /** Data for programs: whatever JSON.stringify takes. */
  readonly json?: unknown;
  /** How long the message lives, in ms: more than 0, at most 10 years. Default: as long as it is kept; an event not at all. */
  readonly ttlMs?: number;
  /** Makes it safe to repeat the call: at most 128 characters. */
  readonly requestId?: string;
  /** Takes back the message of this `requestId`, and publishes this one in its place: unread and new. */
  readonly replace?: boolean;
  /** A name for messages that belong together: at most 128 characters. */
  readonly batchId?: string;
  /** Who caused it. Default, of a user who publishes: that user. */
  readonly actor?: { readonly id?: string; readonly name?: string; readonly avatarUrl?: string };
  /** What it is about. */
  readonly object?: { readonly type: string; readonly id: string };
  /** Only for a service that is not bound to a tenant. */
  readonly tenantId?: string;
}

/** A request of Subscribe: what stays, and what each stream begins with. */
export function subscribeJson(filters: SubscribeRequestJson, request: StreamRequest): SubscribeRequestJson {
  const rooms = request.rooms.map(({ roomId, mode }) => ({ roomId, mode: named("ROOM_MODE_", mode) }));
  return { ...filters, positions: [...request.positions], rooms };
}

/** A request of Publish, from either form. Throws a TypeError unless a plain one has exactly one audience. */
export function publishJson(request: PublishRequest | PublishRequestJson): PublishRequestJson {
  if (!isPlain(request)) return request;
  const { roomId, userId, users, tenant, everyone, kind, json, ttlMs, ...rest } = request;
  const { tenantId = "", requestId = "", replace = false, ...draft } = rest;
  const audience = { roomId, userId, users: users && { userIds: [...users] }, tenant, everyone };
  const given = Object.entries(audience).filter(([, value]) => value !== undefined);
  if (given.length !== 1) {
    throw new TypeError("publish: give exactly one of roomId, userId, users, tenant and everyone");
  }
  return {
    tenantId,
    requestId,
    replace,
    audience: Object.fromEntries(given),
    message: {
      ...draft,
      kind: named("KIND_", kind),
      ...(json === undefined ? {} : { json: json as JsonValue }),
      ...(ttlMs === undefined ? {} : { ttl: `${(ttlMs / 1000).toFixed(3)}s` }),
    },
  };
}

/** Messages by their ids, in the contract's form. */
export function idsJson({ ids, ...rest }: { readonly ids?: readonly string[] }): object {
  return ids ? { ...rest, ids: { messageIds: ids } } : rest;
}

function isPlain(request: PublishRequest | PublishRequestJson): request is PublishRequest {
  return "kind" in request;
}

function named<P extends string, W extends string>(prefix: P, word: W) {
  return `${prefix}${word.toUpperCase() as Uppercase<W>}` as const;
}
