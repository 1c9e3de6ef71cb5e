/** The rooms that a client asks for, whether or not the server has admitted it to them. */
import { canonicalRoom, isBrokenDirect } from "../../rooms/room-ids.ts";
import { aString, check } from "../check.ts";
import type { JoinMode, RoomEvent, RoomJoin } from "../events.ts";

/** The limit of SubscribeRequest. */
const maxRooms = 100;
/** The ids that a server accepts. Characters are code points. */
const idPattern = /^[^\p{Cc}\p{Cs}]{1,320}$/u;

/** The rooms of one client, by their canonical ids. */
export class RoomJoins {
  /** `held`: the server has admitted the client since join(). */
  readonly #joins = new Map<string, { readonly mode: JoinMode; held: boolean }>();

  /** Throws a RangeError for values that no server accepts: a malformed id, a room named twice, too many rooms. */
  constructor(rooms: readonly RoomJoin[] = []) {
    rooms.forEach(({ roomId, mode }, index) => {
      this.join(roomId, mode);
      if (this.#joins.size === index) throw new RangeError(`rooms: ${roomId} is named twice`);
    });
  }

  /** Adds a room; false if it is there in this mode already. Throws as the constructor does. */
  join(roomId: string, mode: JoinMode = "any"): boolean {
    const room = requireRoom(roomId);
    if (!["any", "first", "last"].includes(mode)) throw new RangeError("mode: must be any, first or last");
    if (this.#joins.get(room)?.mode === mode) return false;
    if (this.#joins.size >= maxRooms && !this.#joins.has(room)) {
      throw new RangeError(`rooms: at most ${maxRooms} at once`);
    }
    this.#joins.set(room, { mode, held: false });
    return true;
  }

  /** Removes a room and returns the name of its feed; undefined if the room is not there. */
  leave(roomId: string): string | undefined {
    check("roomId", roomId, aString);
    const room = canonicalRoom(roomId);
    return this.#joins.delete(room) ? `room/${room}` : undefined;
  }

  /** Whether a stream with these rooms may follow the feed. */
  follows(feed: string): boolean {
    return !isRoomFeed(feed) || this.#joins.has(feed.slice("room/".length));
  }

  /**
   * The rooms for the next stream. A client that has held a room by `last` asks for it by `first` when it reconnects: a
   * page that slept while another page took the room must not take it back by itself.
   */
  list(): Required<RoomJoin>[] {
    return [...this.#joins].map(([roomId, { mode, held }]) => ({
      roomId,
      mode: held && mode === "last" ? "first" : mode,
    }));
  }

  /** Applies an event of a room, and returns it for the caller. A room that another client took is not joined again. */
  apply(event: RoomEvent): RoomEvent {
    const join = this.#joins.get(event.roomId);
    const taken = event.code === "already_exists" && join?.held && join.mode === "last";
    if (join && event.status === "joined") join.held = true;
    if (event.status !== "kicked" && !taken) return event;
    this.#joins.delete(event.roomId);
    return { ...event, status: "kicked" };
  }
}

/** Whether a feed is that of a room. */
export function isRoomFeed(feed: string): boolean {
  return feed.startsWith("room/");
}

/** The canonical id. Checked here, since a bad id would be an error of the whole subscription. */
function requireRoom(roomId: string): string {
  check("roomId", roomId, aString);
  const room = canonicalRoom(roomId);
  if (!idPattern.test(room) || isBrokenDirect(room)) {
    throw new RangeError("roomId: must be an id of 1 to 320 characters, as directRoom() returns");
  }
  return room;
}
