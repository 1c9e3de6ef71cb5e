/** Requests in a plainer form than the contract's, the same for Protobuf and JSON. */
import type { JsonValue } from "@bufbuild/protobuf";
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
   * A `notification` is stored and unread until marked, an `activity` is stored, and an `event` is live only, or kept for
   * its `ttlMs`.
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
   * The lifetime of the message, in ms: more than 0, at most 10 years; fractions are rounded up. Default: until retention
   * removes it; an event is not kept at all.
   */
  readonly ttlMs?: number;
  /** Makes it safe to repeat the call: at most 128 characters. */
  readonly requestId?: string;
  /** Recalls the message with this `requestId`, and publishes this one in its place: unread, with an id of its own. */
  readonly replace?: boolean;
  /** A name for messages that belong together: at most 128 characters. */
  readonly batchId?: string;
  /** The user or service that caused the message. Default: the user who publishes; for a service, nobody. */
  readonly actor?: { readonly id?: string; readonly name?: string; readonly avatarUrl?: string };
  /** The object that the message is about. */
  readonly object?: { readonly type: string; readonly id: string };
  /** The tenant, for a service that is not bound to one. */
  readonly tenantId?: string;
}

/** Which messages to mark: one of `ids`, `all`, `oldest`, or categories alone. Repeating it changes nothing more. */
export interface MarkRequest {
  /** These messages: 1 to 1,000. */
  readonly ids?: readonly string[];
  /** All messages. */
  readonly all?: true;
  /** The first N unread messages (with `unread`: the first N read ones), oldest first: 1 to 1,000. */
  readonly oldest?: number;
  /** Of these, only messages of these categories: at most 100. */
  readonly categories?: readonly string[];
  /** Back to unread. */
  readonly unread?: boolean;
  /** Of these, only messages up to these positions: what the page had shown when its user clicked. */
  readonly upTo?: readonly Position[];
}

/** Which messages to delete. Repeating it changes nothing more. */
export interface DeleteRequest {
  /** These messages: 1 to 1,000. */
  readonly ids?: readonly string[];
  /** All of this category in the caller's inbox, or of `ids` only those of it. */
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

/** Whom to count: `users`, the members of a room, or, with neither, the whole tenant. */
export interface OnlineRequest {
  /** Of these users, each with a presence: 1 to 10,000. */
  readonly users?: readonly string[];
  /** Of the members of this room. */
  readonly roomId?: string;
  /** The tenant, for a service that is not bound to one. */
  readonly tenantId?: string;
}

/** The field of a Protobuf oneof that is set, with its value. */
export type Oneof<T> =
  | { [K in keyof T]-?: { readonly case: K; readonly value: Exclude<T[K], undefined> } }[keyof T]
  | { readonly case: undefined };

/** The field that is set. Throws a TypeError that lists the fields if more than one is. */
export function oneofOf<T extends object>(request: string, fields: T): Oneof<T> {
  const [first, second] = Object.entries(fields).filter(([, value]) => value !== undefined);
  if (second !== undefined) throw new TypeError(`${request}: give only one of ${Object.keys(fields).join(", ")}`);
  return (first === undefined ? { case: undefined } : { case: first[0], value: first[1] }) as Oneof<T>;
}

/** Whether a publish is in the plain form rather than in the contract's. */
export function isPlainPublish(request: object): request is PublishRequest {
  return !("audience" in request || "message" in request || "$typeName" in request);
}

/** Ten years, the longest lifetime, in ms. */
const maxTtlMs = 315_360_000_000;

/**
 * Takes a plain publish apart for the codecs; `index` is its position in a batch. Throws a TypeError unless there is
 * exactly one audience and at most one payload, and a RangeError for a `ttlMs` out of range.
 */
export function splitPublish(request: PublishRequest, index?: number) {
  const { roomId, userId, users, tenant, everyone, kind, json, binary, ttlMs, ...rest } = request;
  const { tenantId = "", requestId = "", replace = false, ...draft } = rest;
  const [name, path] = index === undefined ? ["request", ""] : [`requests[${index}]`, `requests[${index}].`];
  const audiences = { roomId, userId, users: users && { userIds: [...users] }, tenant, everyone };
  const to = oneofOf(name, audiences);
  if (to.case === undefined) throw new TypeError(`${name}: give one of ${Object.keys(audiences).join(", ")}`);
  if (ttlMs !== undefined && !(ttlMs > 0 && ttlMs <= maxTtlMs)) {
    throw new RangeError(`${path}ttlMs: must be more than 0 and at most 10 years`);
  }
  return {
    /** The fields beside the audience and the message. */
    request: { tenantId, requestId, replace },
    to,
    kind: kind.toUpperCase() as Uppercase<typeof kind>,
    payload: oneofOf(name, { json: plainJson(json, path), binary }),
    ttlMs: ttlMs && Math.ceil(ttlMs),
    /** The fields of the message that are the same in every form. */
    draft,
  };
}

/** The value as JSON.stringify sees it: without functions and `undefined`, with the results of toJSON(). */
function plainJson(value: unknown, path: string): JsonValue | undefined {
  if (value === undefined) return undefined;
  let cause: unknown;
  try {
    const text = JSON.stringify(value) as string | undefined;
    if (text !== undefined) return JSON.parse(text) as JsonValue;
  } catch (thrown) {
    cause = thrown;
  }
  throw new TypeError(`${path}json: must be a value that JSON.stringify takes`, { cause });
}
