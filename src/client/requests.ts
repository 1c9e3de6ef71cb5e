/** Requests in a plainer form than the contract's, the same for Protobuf and JSON. */
import type { JsonValue } from "@bufbuild/protobuf";
import type {
  ListMessagesRequestJson,
  ListUnreadRequestJson,
  PublishRequestJson,
} from "../../gen/tidings/v1/push_service_pb.ts";
import {
  type ArgumentType,
  aBoolean,
  aNumber,
  anObject,
  aString,
  bytes,
  check,
  checkShape,
  listOf,
  oneOf,
  onlyTrue,
  pathOf,
  type Shape,
  shaped,
  strings,
} from "./check.ts";
import type { Position } from "./events.ts";

/**
 * One message to one audience: exactly one of `roomId`, `userId`, `users`, `tenant` and `everyone`. A user publishes
 * notifications and events, and to rooms only.
 */
export interface PublishRequest {
  /** The members of a room. directRoom() gives the room of two users. */
  readonly roomId?: string;
  /** One user. An activity goes to the whole tenant, with this user as its receiver. */
  readonly userId?: string;
  /** Several users: 1 to 10,000. Not for an activity. */
  readonly users?: readonly string[];
  /** Every user of the tenant. */
  readonly tenant?: true;
  /** Every user of every tenant. */
  readonly everyone?: true;
  /**
   * A `notification` is stored and unread until marked, an `activity` is stored, and an `event` is live only, or kept
   * for its `ttlMs`.
   */
  readonly kind: "notification" | "activity" | "event";
  /** One line of plain text: at most 512 characters. */
  readonly title?: string;
  /** Plain text. */
  readonly content?: string;
  /** The target of a click: https, http or relative; at most 2,048 characters. */
  readonly url?: string;
  /** The category by which readers filter, count and mute: at most 64 characters. */
  readonly category?: string;
  /** The name that pages listen for: at most 128 characters. Default `message`. */
  readonly event?: string;
  /** Data for programs: any value that JSON.stringify takes. Not together with `binary`. */
  readonly json?: unknown;
  /** Data for programs as bytes. Not together with `json`. */
  readonly binary?: Uint8Array;
  /** The media type of `binary`: at most 128 characters. */
  readonly contentType?: string;
  /**
   * The lifetime of the message, in ms: more than 0, at most 10 years; fractions are rounded up. Default: until
   * retention removes it; an event is not kept at all.
   */
  readonly ttlMs?: number;
  /** Makes it safe to repeat the call: at most 128 characters. */
  readonly requestId?: string;
  /** Recalls the message with this `requestId`, and publishes this one in its place: unread, with an id of its own. */
  readonly replace?: boolean;
  /** A name for messages that belong together: at most 128 characters. */
  readonly batchId?: string;
  /**
   * The user or service that caused the message, for a service; default: nobody. The actor of a user's message is always
   * that user, with the name and picture of the token.
   */
  readonly actor?: { readonly id?: string; readonly name?: string; readonly avatarUrl?: string };
  /** The object that the message is about. */
  readonly object?: { readonly type: string; readonly id: string };
  /** The tenant, for a service that is not bound to one. */
  readonly tenantId?: string;
}

/** The messages to mark: one of `ids`, `all` and `oldest`, or categories alone. Idempotent. */
export interface MarkRequest {
  /** These messages: 1 to 1,000. */
  readonly ids?: readonly string[];
  /** All messages. */
  readonly all?: true;
  /** The first N unread messages (with `unread`: the first N read ones), oldest first: 1 to 1,000. */
  readonly oldest?: number;
  /** Of these, only messages of these categories: at most 100. */
  readonly categories?: readonly string[];
  /** Mark as unread instead. */
  readonly unread?: boolean;
  /** Of these, only messages up to these positions: those that the page had shown when its user clicked. */
  readonly upTo?: readonly Position[];
}

/** The messages to delete. Idempotent. */
export interface DeleteRequest {
  /** These messages: 1 to 1,000. */
  readonly ids?: readonly string[];
  /** The messages of this category: all in the caller's inbox, or, with `ids`, only those among them. */
  readonly category?: string;
  /** Of these, only messages that have expired. */
  readonly expiredOnly?: boolean;
  /** Take the messages from every inbox and page. Services must set it, users must not. */
  readonly recall?: boolean;
  /** All messages of this batch, with `recall`. */
  readonly batchId?: string;
  /** The tenant, for a service that is not bound to one. */
  readonly tenantId?: string;
}

/** The users to count: those in `users`, the members of a room, or, with neither, the whole tenant. */
export interface OnlineRequest {
  /** These users, each with a presence in the response: 1 to 10,000. */
  readonly users?: readonly string[];
  /** The members of this room. */
  readonly roomId?: string;
  /** The tenant, for a service that is not bound to one. */
  readonly tenantId?: string;
}

/**
 * Returns the fields, of which only one is set. Throws a TypeError that lists them if more than one is, and, where one
 * is `required`, if none is.
 */
function onlyOne<T extends object>(name: string, fields: T, required = false): T {
  const { length } = Object.values(fields).filter((value) => value !== undefined);
  if (length > 1 || (required && length < 1)) {
    throw new TypeError(`${name}: give ${required ? "exactly" : "only"} one of ${Object.keys(fields).join(", ")}`);
  }
  return fields;
}

/** A list of ids, which the contract has in a message of its own. */
const idList = (field: string): ArgumentType => [...strings, (ids: readonly string[]) => ({ [field]: [...ids] })];

const objectType = shaped({ type: aString, id: aString } satisfies Shape<NonNullable<PublishRequest["object"]>>);

const pageShape = { categories: strings, startTime: aString, endTime: aString, pageSize: aNumber, pageToken: aString };

const listUnreadShape: Shape<ListUnreadRequestJson> = { ...pageShape, actorId: aString };

/** Checks a request of ListUnread, and returns it as a plain object. `own` are the types that differ in a client. */
export function listUnreadRequest<T extends object>(request: T, own?: Readonly<Record<string, ArgumentType>>): T {
  return checkShape("request", request, { ...listUnreadShape, ...own });
}

const listMessagesShape: Shape<ListMessagesRequestJson> = {
  ...pageShape,
  tenantId: aString,
  kinds: strings,
  actorId: aString,
  object: objectType,
  roomId: aString,
  batchId: aString,
};

/** Checks a request of ListMessages, and returns it as a plain object. `own` are the types that differ in a client. */
export function listMessagesRequest<T extends object>(request: T, own?: Readonly<Record<string, ArgumentType>>): T {
  return checkShape("request", request, { ...listMessagesShape, ...own });
}

const positionShape: Shape<Position> = { feed: aString, epoch: aNumber, seq: aString };

const markShape: Shape<MarkRequest> = {
  ids: idList("messageIds"),
  all: onlyTrue,
  oldest: aNumber,
  categories: strings,
  unread: aBoolean,
  upTo: listOf(positionShape),
};

/** The ids of messages in the contract's form. */
interface MessageIds {
  readonly messageIds: string[];
}

/** Takes a request of MarkRead apart. Throws a TypeError for more than one target. */
export function splitMark(request: MarkRequest) {
  const { ids, all, oldest, ...rest } = checkShape<object>("request", request, markShape) as Omit<
    MarkRequest,
    "ids"
  > & {
    readonly ids?: MessageIds;
  };
  return { target: onlyOne("request", { ids, all, oldest }), rest };
}

const deleteShape: Shape<DeleteRequest> = {
  ids: idList("messageIds"),
  category: aString,
  expiredOnly: aBoolean,
  recall: aBoolean,
  batchId: aString,
  tenantId: aString,
};

/** A request of DeleteMessages, which is the same in Protobuf and JSON. */
export function deleteRequest(request: DeleteRequest) {
  return checkShape<object>("request", request, deleteShape) as Omit<DeleteRequest, "ids"> & {
    readonly ids?: MessageIds;
  };
}

/** The ids of users in the contract's form. */
interface UserIds {
  readonly userIds: string[];
}

const users = idList("userIds");

const onlineShape: Shape<OnlineRequest> = { users, roomId: aString, tenantId: aString };

/** Takes a request of OnlineCount apart. Throws a TypeError for more than one scope. */
export function splitOnline(request: OnlineRequest) {
  const { users, roomId, ...rest } = checkShape<object>("request", request, onlineShape) as Omit<
    OnlineRequest,
    "users"
  > & { readonly users?: UserIds };
  return { scope: onlyOne("request", { users, roomId }), rest };
}

const kinds = oneOf("notification", "activity", "event");

const plainShape: Shape<PublishRequest> = {
  roomId: aString,
  userId: aString,
  users,
  tenant: onlyTrue,
  everyone: onlyTrue,
  kind: kinds,
  title: aString,
  content: aString,
  url: aString,
  category: aString,
  event: aString,
  json: ["a value", () => true, plainJson],
  binary: bytes,
  contentType: aString,
  ttlMs: [...aNumber, Math.ceil],
  requestId: aString,
  replace: aBoolean,
  batchId: aString,
  actor: shaped({ id: aString, name: aString, avatarUrl: aString } satisfies Shape<
    NonNullable<PublishRequest["actor"]>
  >),
  object: objectType,
  tenantId: aString,
};

/** A plain publish whose fields are in the contract's form. */
type CheckedPublish = Omit<PublishRequest, "users" | "json"> & { readonly users?: UserIds; readonly json?: JsonValue };

const contractShape: Shape<PublishRequestJson> = {
  audience: anObject,
  message: anObject,
  requestId: aString,
  replace: aBoolean,
  tenantId: aString,
};

/**
 * Takes a plain publish apart for the codecs; undefined for one in the contract's form. `index` is its position in a
 * batch. Throws a TypeError for an unknown key, a value of the wrong type, and unless there is exactly one audience and
 * at most one payload.
 */
export function splitPublish(publish: PublishRequest | object, index?: number) {
  const name = index === undefined ? "request" : `requests[${index}]`;
  check(name, publish, anObject);
  const contract = "audience" in publish || "message" in publish || "$typeName" in publish;
  const plain = checkShape(name, publish, contract ? contractShape : plainShape) as CheckedPublish;
  if (contract) return undefined;
  const { roomId, userId, users, tenant, everyone, kind, json, binary, ttlMs, ...rest } = plain;
  const { tenantId, requestId, replace, ...draft } = rest;
  check(`${pathOf(name)}kind`, kind, kinds);
  return {
    /** The fields beside the audience and the message. */
    envelope: { tenantId, requestId, replace },
    audience: onlyOne(name, { roomId, userId, users, tenant, everyone }, true),
    kind: kind.toUpperCase() as Uppercase<typeof kind>,
    payload: onlyOne(name, { json, binary }),
    ttlMs,
    /** The fields of the message that are the same in every form. */
    draft,
  };
}

/** The value as JSON.stringify sees it: without functions and `undefined`, with the results of toJSON(). */
function plainJson(value: unknown, path: string): JsonValue {
  try {
    // Of a function or a symbol, JSON.stringify gives undefined, which JSON.parse refuses.
    return JSON.parse(JSON.stringify(value)) as JsonValue;
  } catch (cause) {
    throw new TypeError(`${path}: must be a value that JSON.stringify takes`, { cause });
  }
}
