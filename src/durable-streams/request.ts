/** What a reader asks for: the feed in the path of a request, and the query. */
import { create } from "@bufbuild/protobuf";
import { type Kind, KindSchema } from "../../gen/tidings/v1/message_pb.ts";
import { RoomJoinSchema, type SubscribeRequest, SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { fail } from "../errors.ts";
import type { FeedStart } from "../stream/feed-log.ts";
import { parseOffset } from "../stream/feed-offset.ts";

/** The feed that a path names: its name in the contract, and the id of its room as the path has it. */
export type FeedPath = { readonly name: string; readonly room?: undefined } | { readonly room: string };

const paths = /^\/stream\/(?:(user|tenant|activity|everyone)|room\/(.*))$/;

/** Returns the feed of a request's target, undefined for a path that is not of a feed. */
export function feedPathOf(target: string): FeedPath | undefined {
  const [, name, room] = paths.exec(target.split("?", 1)[0] as string) ?? [];
  if (name !== undefined) return { name };
  return room === undefined ? undefined : { room };
}

/** How a reader is answered: at once, as soon as there are messages, or with every message that comes. */
export type ReadMode = "catch-up" | "long-poll" | "sse";

const modes: ReadonlyMap<string | undefined, ReadMode> = new Map([
  [undefined, "catch-up"],
  ["long-poll", "long-poll"],
  ["sse", "sse"],
]);

/** The query of a request. */
export interface ReadQuery {
  readonly mode: ReadMode;
  readonly start: FeedStart;
  /** The `Stream-Cursor` of an earlier answer; undefined for none. */
  readonly cursor: number | undefined;
  /** The filter, and the room, as a request of Subscribe, whose rules are those of the contract. */
  readonly request: SubscribeRequest;
}

/** Returns the parameters of the query of a request's target. */
export function parametersOf(target: string): URLSearchParams {
  return new URLSearchParams(target.slice(target.indexOf("?") + 1 || target.length));
}

/**
 * Reads the parameters of a request. `lastEventId`: the position after the last event that an EventSource got before it
 * reconnected; it resumes there. Unknown parameters are ignored. Throws FIELD_INVALID and POSITION_INVALID.
 */
export function readQuery(query: URLSearchParams, path: FeedPath, lastEventId: string | undefined): ReadQuery {
  const mode = modes.get(only(query, "live"));
  if (mode === undefined) throw fail("FIELD_INVALID", "must be long-poll or sse", { field: "live" });
  const offset = only(query, "offset");
  if (offset === undefined && mode !== "catch-up") {
    throw fail("FIELD_INVALID", "is required to read live; use -1, now, or the last offset", { field: "offset" });
  }
  const resumed = mode === "sse" && lastEventId !== undefined;
  const start = resumed ? parseOffset(lastEventId, "last-event-id") : startOf(offset);
  return { mode, start, cursor: cursorOf(only(query, "cursor")), request: requestOf(query, path) };
}

/** The id of the room of a path. Throws FIELD_INVALID where it is not percent-encoded UTF-8. */
function decodeRoom(room: string): string {
  try {
    return decodeURIComponent(room);
  } catch {
    throw fail("FIELD_INVALID", "must be percent-encoded UTF-8 in the path", { field: "room_id" });
  }
}

function startOf(offset: string | undefined): FeedStart {
  if (offset === undefined || offset === "-1") return "oldest";
  return offset === "now" ? "now" : parseOffset(offset, "offset");
}

/** A cursor of ours is a small number; another one was not made here and has no effect. */
function cursorOf(cursor: string | undefined): number | undefined {
  return cursor !== undefined && /^\d{1,12}$/.test(cursor) ? Number(cursor) : undefined;
}

function requestOf(query: URLSearchParams, path: FeedPath): SubscribeRequest {
  const kinds = query.getAll("kinds").map((name) => {
    const kind = KindSchema.values.find((value) => value.name === name);
    if (kind) return kind.number as Kind;
    throw fail("FIELD_INVALID", "must be KIND_NOTIFICATION, KIND_ACTIVITY or KIND_EVENT", { field: "kinds" });
  });
  return create(SubscribeRequestSchema, {
    kinds,
    categories: query.getAll("categories"),
    events: query.getAll("events"),
    rooms: path.room === undefined ? [] : [create(RoomJoinSchema, { roomId: decodeRoom(path.room) })],
  });
}

/** Returns a parameter that may be given once. */
function only(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name);
  if (values.length > 1) throw fail("FIELD_INVALID", "is given more than once", { field: name });
  return values[0];
}
