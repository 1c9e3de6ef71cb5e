/** Room ids as requests give them, the feeds of rooms, and the grants of a token that open rooms. */

import type { UserIdentity } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import type { NamedFeed } from "../feeds/feed.ts";
import { canonicalRoom, directPrefix, escapeId, isBrokenDirect } from "./room-ids.ts";

export { canonicalRoom, directRoom, directUsers, escapeId } from "./room-ids.ts";

/**
 * The most characters of a room id in the contract. Escaping must not make a longer one: a client could not send back a
 * position in its feed.
 */
const maxLength = 320;

/** The name of a room's feed. `room` is canonical. */
export function roomFeedName(room: string): string {
  return `room/${room}`;
}

/** Returns the feed of a room; `room` is its canonical id. */
export function roomFeed(tenant: string, room: string): NamedFeed {
  const name = roomFeedName(room);
  return { name, key: { tenant, name } };
}

/** Returns the room of a feed's name, undefined for a feed of another kind. */
export function roomOf(feed: string): string | undefined {
  return feed.startsWith("room/") ? feed.slice("room/".length) : undefined;
}

/** Returns the canonical id of a room. Throws FIELD_INVALID for a malformed direct room, or an id that is too long when escaped. */
export function requireRoom(room: string, field: string): string {
  if (isBrokenDirect(room)) {
    const sentence = "a direct room is dm/<a>/<b>, with `/` in an id written as %2F and `%` as %25";
    throw fail("FIELD_INVALID", sentence, { field });
  }
  const id = canonicalRoom(room);
  if ([...id].length <= maxLength) return id;
  throw fail("FIELD_INVALID", `must have at most ${maxLength} characters, with its ids escaped`, { field });
}

/**
 * Reports whether one of the grants opens the room. A grant is a room id in which `{sub}` stands for the user's own id
 * (escaped), `*` for one or more characters except `/`, and `**` for one or more of any characters.
 */
export function isGranted(grants: readonly string[], { subject }: UserIdentity, room: string): boolean {
  return grants.some((grant) => (/[*{]/.test(grant) ? matches(fill(grant, subject), room) : grant === room));
}

/** Returns the rooms that the grants name without wildcards. Direct rooms cannot be granted, and are left out. */
export function namedRooms(grants: readonly string[], { subject }: UserIdentity): readonly string[] {
  const named = grants.filter((grant) => !grant.includes("*")).map((grant) => fill(grant, subject).join(""));
  return [...new Set(named.filter((room) => room !== "" && !room.startsWith(directPrefix)))];
}

/** Splits a grant into texts and wildcards, with the user's id filled in; a star within that id is no wildcard. */
function fill(grant: string, subject: string): string[] {
  const parts = grant.split(/(\*\*|\*|\{sub\})/);
  return parts.map((part, index) => {
    if (index % 2 === 0) return part;
    return part === "{sub}" ? escapeId(subject) : `${wildcard}${part}`;
  });
}

/** Begins a part that is a wildcard. No id has control characters. */
const wildcard = "\u0000";

/**
 * Matches part by part, keeping every position of the room id at which the parts so far can end. It never backtracks,
 * so no pattern can make it slow.
 */
function matches(parts: readonly string[], room: string): boolean {
  let ends = Array.from({ length: room.length + 1 }, (_, position) => position === 0);
  for (const part of parts) {
    const next = new Array<boolean>(room.length + 1).fill(false);
    for (let position = 0; position <= room.length; position++) {
      if (!part.startsWith(wildcard)) {
        if (ends[position] && room.startsWith(part, position)) next[position + part.length] = true;
      } else if (ends[position] || next[position]) {
        if (position < room.length && (part.endsWith("**") || room[position] !== "/")) next[position + 1] = true;
      }
    }
    ends = next;
  }
  return ends[room.length] === true;
}
