/** Ids of rooms, and the grants of a token that open them. */
import { fail } from "./errors.ts";
import type { NamedFeed } from "./feeds.ts";
import type { UserIdentity } from "./identity.ts";

const direct = "dm/";

/** The feed of a room. `room` is canonical. */
export function roomFeed(tenant: string, room: string): NamedFeed {
  return { name: `room/${room}`, key: { tenant, name: `room/${room}` } };
}

/** The room of a feed's name, undefined for a feed of another kind. */
export function roomOf(feed: string): string | undefined {
  return feed.startsWith("room/") ? feed.slice("room/".length) : undefined;
}

/** The room of two users: the same whoever asks. */
export function directRoom(a: string, b: string): string {
  return `${direct}${[a, b].sort().map(escapeId).join("/")}`;
}

/** The two users of a direct room; undefined for any other room. */
export function directUsers(room: string): readonly [string, string] | undefined {
  const [, a, b] = /^dm\/([^/]+)\/([^/]+)$/.exec(room) ?? [];
  return a === undefined || b === undefined ? undefined : [unescapeId(a), unescapeId(b)];
}

/** One text for one room: the ids of a direct room in order, with what must be escaped and nothing else. */
export function canonicalRoom(room: string): string {
  const users = directUsers(room);
  return users ? directRoom(...users) : room;
}

/** The canonical id. Throws FIELD_INVALID for one that promises a direct room and names none. */
export function requireRoom(room: string, field: string): string {
  if (!room.startsWith(direct) || directUsers(room)) return canonicalRoom(room);
  const sentence = "a direct room is dm/<a>/<b>, with `/` in an id written as %2F and `%` as %25";
  throw fail("FIELD_INVALID", sentence, { field });
}

/** A slash in an id must not end it: "1/2" with "3" is not "1" with "2/3". */
export function escapeId(id: string): string {
  return id.replaceAll("%", "%25").replaceAll("/", "%2F");
}

function unescapeId(text: string): string {
  return text.replaceAll(/%2F/gi, "/").replaceAll("%25", "%");
}

/**
 * Whether one of the grants opens the room. A grant is a room's id; in it, `{sub}` stands for the user's own id
 * (escaped), `*` for one or more characters but `/`, and `**` for one or more of any.
 */
export function isGranted(grants: readonly string[], { subject }: UserIdentity, room: string): boolean {
  return grants.some((grant) => matches(fill(grant, subject), room));
}

/** The rooms that the grants name by their ids, without patterns. */
export function namedRooms(grants: readonly string[], { subject }: UserIdentity): readonly string[] {
  const named = grants.filter((grant) => !grant.includes("*")).map((grant) => fill(grant, subject).join(""));
  return [...new Set(named.filter((room) => room !== "" && !room.startsWith(direct)))];
}

/** The parts of a grant; a star within an id of a user is no wildcard. */
function fill(grant: string, subject: string): string[] {
  const parts = grant.split(/(\*\*|\*|\{sub\})/);
  return parts.map((part, index) => {
    if (index % 2 === 0) return part;
    return part === "{sub}" ? escapeId(subject) : `${wildcard}${part}`;
  });
}

/** No id has control characters. */
const wildcard = "\u0000";

/** Part by part, with every place in the room's id that the parts so far may end at: linear, whatever the pattern. */
function matches(parts: readonly string[], room: string): boolean {
  let ends = Array.from({ length: room.length + 1 }, (_, place) => place === 0);
  for (const part of parts) {
    const next = new Array<boolean>(room.length + 1).fill(false);
    for (let place = 0; place <= room.length; place++) {
      if (!part.startsWith(wildcard)) {
        if (ends[place] && room.startsWith(part, place)) next[place + part.length] = true;
      } else if (ends[place] || next[place]) {
        if (place < room.length && (part.endsWith("**") || room[place] !== "/")) next[place + 1] = true;
      }
    }
    ends = next;
  }
  return ends[room.length] === true;
}
