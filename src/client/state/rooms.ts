/** The rooms that a client asks for, and what becomes of them. */
import { canonicalRoom, isBrokenDirect } from "../../rooms/room-ids.ts";
import { aString, check, checkShape } from "../check.ts";
import type { JoinMode, RoomEvent, RoomJoin } from "../events.ts";

/** SubscribeRequest takes no more. */
const mostRooms = 100;
const longestId = 320;

/** The rooms of one client, by their canonical ids. */
export class RoomJoins {
  /** `held`: it has been entered since it was asked for. */
  readonly #wishes = new Map<string, { readonly mode: JoinMode; held: boolean }>();

  /**
   * Throws a TypeError for a value of the wrong type or an unknown key, and a RangeError for what no server takes: a
   * malformed id, a room named twice, too many rooms.
   */
  constructor(rooms: readonly RoomJoin[] = []) {
    rooms.forEach((room, index) => {
      checkShape(`rooms[${index}]`, room, { roomId: aString, mode: aString });
      const { roomId, mode } = room;
      this.join(roomId, mode);
      if (this.#wishes.size === index) throw new RangeError(`rooms: ${roomId} is named twice`);
    });
  }

  /** Asks for a room; false if it is asked for so already. Throws as the constructor does. */
  join(roomId: string, mode: JoinMode = "any"): boolean {
    const room = requireRoom(roomId);
    if (!["any", "first", "last"].includes(mode)) throw new RangeError("mode: must be any, first or last");
    if (this.#wishes.get(room)?.mode === mode) return false;
    if (this.#wishes.size >= mostRooms && !this.#wishes.has(room)) {
      throw new RangeError(`rooms: at most ${mostRooms} at once`);
    }
    this.#wishes.set(room, { mode, held: false });
    return true;
  }

  /** Asks for a room no more; answers the name of its feed, or nothing if it was not asked for. */
  leave(roomId: string): string | undefined {
    check("roomId", roomId, aString);
    const room = canonicalRoom(roomId);
    return this.#wishes.delete(room) ? `room/${room}` : undefined;
  }

  /** Whether a stream with these rooms may follow the feed. */
  follows(feed: string): boolean {
    return !isRoomFeed(feed) || this.#wishes.has(feed.slice("room/".length));
  }

  /**
   * What to ask for now. Who has had a room by `last` and comes back after a lost connection asks by `first`: a page that
   * slept while another took the room must not take it back by itself.
   */
  list(): Required<RoomJoin>[] {
    return [...this.#wishes].map(([roomId, { mode, held }]) => ({
      roomId,
      mode: held && mode === "last" ? "first" : mode,
    }));
  }

  /** Takes the server's word on a room. A room that was lost, or that another took meanwhile, is asked for no more. */
  hear(event: RoomEvent): RoomEvent {
    const wish = this.#wishes.get(event.roomId);
    const taken = event.status === "refused" && event.code === "already_exists" && wish?.held && wish.mode === "last";
    if (wish !== undefined && event.status === "joined") wish.held = true;
    if (event.status !== "kicked" && !taken) return event;
    this.#wishes.delete(event.roomId);
    return { ...event, status: "kicked" };
  }
}

/** Whether a feed is that of a room. */
export function isRoomFeed(feed: string): boolean {
  return feed.startsWith("room/");
}

/** The canonical id. One bad id would be an error of the whole subscription, so it is found here. */
function requireRoom(roomId: string): string {
  check("roomId", roomId, aString);
  const room = canonicalRoom(roomId);
  const length = [...room].length;
  if (length < 1 || length > longestId || isBrokenDirect(room) || /[\p{Cc}\p{Cs}]/u.test(room)) {
    throw new RangeError("roomId: must be an id of 1 to 320 characters, such as directRoom() gives");
  }
  return room;
}
