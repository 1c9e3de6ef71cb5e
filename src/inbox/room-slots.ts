/** The rooms of one inbox, and which of them give way to others when it is full. */

/** The most rooms whose notifications one inbox holds. */
export const maxRooms = 256;
/** The most rooms where services have added some, for which no other room gave way. */
export const maxRoomsByServices = 512;
/** The most unanswered rooms of strangers for which the user's own rooms without unread messages give way. */
export const maxStrangers = 32;

/**
 * Who puts a room into an inbox: its `owner`, by entering the room, publishing to it, or a token that names it; a `service`;
 * or a `stranger`, another user who publishes to the direct room of the two.
 */
export type Enroller = "owner" | "service" | "stranger";

/** A room of an inbox. */
export interface Slot {
  /** The name of its feed. */
  readonly feed: string;
  /** A stranger put it into the inbox, and the owner has neither entered it nor published to it. */
  readonly isUnanswered: boolean;
  /** It has unread messages. */
  readonly hasUnread: boolean;
}

/**
 * Returns the feeds of the rooms that give way in an inbox of `size` rooms to up to `count` new ones, and how many new rooms
 * fit then. `slots` are the rooms that may give way, those that the inbox has had longest first.
 *
 * An account costs an attacker nothing, so rooms of strangers give way first: those without unread messages, then the
 * oldest. The rooms of the owner stay while they have unread messages; without any, they leave the strangers a few slots, so
 * that an inbox full of them can still be written to. A service is never refused: where nothing gives way, its rooms are
 * added beyond the limit.
 */
export function makeRoom(slots: readonly Slot[], size: number, count: number, by: Enroller): [string[], number] {
  const left = new Set(slots);
  const find = (wanted: (slot: Slot) => boolean) => [...left].find(wanted);
  const gone: string[] = [];
  const isFull = (rooms: number) => by === "service" && rooms >= maxRoomsByServices;
  for (let free = maxRooms - size; free < count; free++) {
    const strangers = [...left].filter(({ isUnanswered }) => isUnanswered);
    const idle = find(({ isUnanswered, hasUnread }) => !isUnanswered && !hasUnread);
    const slot =
      strangers.find(({ hasUnread }) => !hasUnread) ??
      (strangers.length < maxStrangers ? idle : undefined) ??
      strangers[0];
    const first = slot ?? idle ?? (isFull(size - gone.length) ? find(() => true) : undefined);
    if (!first) break;
    left.delete(first);
    gone.push(first.feed);
  }
  const most = by === "service" ? maxRoomsByServices : maxRooms;
  return [gone, Math.max(0, Math.min(count, most - size + gone.length))];
}
