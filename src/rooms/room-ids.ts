/** The ids of rooms, the same functions for the server and its clients. */

/** The prefix of the id of a direct room. */
export const directPrefix = "dm/";

/**
 * The id of the direct room of two users, the same in either order. Throws a TypeError for an id that is not a string.
 */
export function directRoom(a: string, b: string): string {
  return `${directPrefix}${[a, b].sort().map(escapeId).join("/")}`;
}

/** The two users of a direct room; undefined for any other room. */
export function directUsers(room: string): readonly [string, string] | undefined {
  const [, a, b] = /^dm\/([^/]+)\/([^/]+)$/.exec(room) ?? [];
  return a === undefined || b === undefined ? undefined : [unescapeId(a), unescapeId(b)];
}

/** Whether an id has the prefix of a direct room but does not name two users. */
export function isBrokenDirect(room: string): boolean {
  return room.startsWith(directPrefix) && directUsers(room) === undefined;
}

/** The canonical id of a room: for a direct room with its users in order and only `%` and `/` escaped. */
export function canonicalRoom(room: string): string {
  const users = directUsers(room);
  return users ? directRoom(...users) : room;
}

/**
 * A user's id as part of a room's id, with its slashes escaped: the room of "1/2" and "3" is not that of "1" and "2/3".
 * Throws a TypeError for an id that is not a string.
 */
export function escapeId(id: string): string {
  if (typeof id !== "string") throw new TypeError("id: must be a string");
  return id.replaceAll("%", "%25").replaceAll("/", "%2F");
}

function unescapeId(text: string): string {
  return text.replaceAll(/%2F/gi, "/").replaceAll("%25", "%");
}
