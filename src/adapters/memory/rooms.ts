import type { Connection, Membership, OnlineTotals } from "../../ports/presence.ts";
import { exactKey } from "../../util/keys.ts";

/** The members of the rooms of one process. Empty maps are dropped. */
export class MemoryRooms {
  /** Room → connection → its membership. */
  readonly #rooms = new Map<string, Map<string, Membership>>();
  /** Connection → the rooms that it is in. */
  readonly #roomsOf = new Map<string, Set<string>>();

  /** Adds a membership. Returns those that it ended, or undefined when it is refused. */
  join(membership: Membership): readonly Membership[] | undefined {
    const { connection, room, mode } = membership;
    const key = exactKey(connection.tenant, room);
    const members = this.#rooms.get(key) ?? new Map<string, Membership>();
    // ANY skips the others: a thousand connections that enter one room would take a million steps.
    const others = mode === "any" ? [] : [...members.values()].filter((other) => other.connection.id !== connection.id);
    if (mode === "first" && others.some((other) => !isStale(other, membership))) return undefined;
    for (const { connection: other } of others) this.leave(other, room);
    members.set(connection.id, membership);
    this.#rooms.set(key, members);
    const rooms = this.#roomsOf.get(connection.id) ?? new Set();
    this.#roomsOf.set(connection.id, rooms.add(room));
    return others;
  }

  leave({ id, tenant }: Connection, room: string): void {
    const key = exactKey(tenant, room);
    const members = this.#rooms.get(key);
    if (members?.delete(id) && members.size === 0) this.#rooms.delete(key);
    const rooms = this.#roomsOf.get(id);
    if (rooms?.delete(room) && rooms.size === 0) this.#roomsOf.delete(id);
  }

  leaveAll(connection: Connection): void {
    for (const room of this.#roomsOf.get(connection.id) ?? []) this.leave(connection, room);
  }

  count(tenant: string, room: string): OnlineTotals {
    const members = [...(this.#rooms.get(exactKey(tenant, room))?.values() ?? [])];
    return { users: new Set(members.map(({ connection }) => connection.user)).size, connections: members.length };
  }

  clear(): void {
    this.#rooms.clear();
    this.#roomsOf.clear();
  }
}

/** Returns whether the other connection is a stale one of the same page or device: FIRST is not refused by it. */
function isStale(other: Membership, { instance, connection }: Membership): boolean {
  return instance !== "" && other.instance === instance && other.connection.user === connection.user;
}
