/** Ids of rooms, and the grants of a token that open them. */

import type { UserIdentity } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import type { NamedFeed } from "../feeds/feed.ts";
import { canonicalRoom, directPrefix, escapeId, isBrokenDirect } from "./room-ids.ts";

export { canonicalRoom, directRoom, directUsers, escapeId } from "./room-ids.ts";

/** Characters of an id, as in the contract: escaping must not make a longer one, whose place nobody could give back. */
const maxLength = 320;

/** The feed of a room. `room` is canonical. */
export function roomFeed(tenant: string, room: string): NamedFeed {
  return { name: `room/${room}`, key: { tenant, name: `room/${room}` } };
}

/** The room of a feed's name, undefined for a feed of another kind. */
export function roomOf(feed: string): string | undefined {
  return feed.startsWith("room/") ? feed.slice("room/".length) : undefined;
}

/** The canonical id. Throws FIELD_INVALID for one that promises a direct room and names none, or is too long escaped. */
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
 * Whether one of the grants opens the room. A grant is a room's id; in it, `{sub}` stands for the user's own id
 * (escaped), `*` for one or more characters but `/`, and `**` for one or more of any.
 */
export function isGranted(grants: readonly string[], { subject }: UserIdentity, room: string): boolean {
  return grants.some((grant) => (/[*{]/.test(grant) ? matches(fill(grant, subject), room) : grant === room));
}

/** The rooms that the grants name by their ids, without patterns. */
export function namedRooms(grants: readonly string[], { subject }: UserIdentity): readonly string[] {
  const named = grants.filter((grant) => !grant.includes("*")).map((grant) => fill(grant, subject).join(""));
  return [...new Set(named.filter((room) => room !== "" && !room.startsWith(directPrefix)))];
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
