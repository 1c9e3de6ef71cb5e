import type { Connection, Membership, OnlineTotals } from "../../ports/presence.ts";
import { tenantKey } from "../../util/keys.ts";

/** Who is in which room, within one process. Empty maps are dropped. */
export class MemoryRooms {
  /** Room → connection → its seat. */
  readonly #rooms = new Map<string, Map<string, Membership>>();
  /** Connection → the rooms that it is in. */
  readonly #entered = new Map<string, Set<string>>();

  /** Seats the connection, and answers who lost a seat; undefined when it is refused. */
  join(seat: Membership): readonly Membership[] | undefined {
    const { connection, room, mode: entrance } = seat;
    const key = keyOf(connection.tenant, room);
    const seats = this.#rooms.get(key) ?? new Map<string, Membership>();
    // Not looked at for the many who only enter: a thousand of them would take a million looks.
    const others =
      entrance === "any" ? [] : [...seats.values()].filter((other) => other.connection.id !== connection.id);
    if (entrance === "first" && others.some((other) => !isGhost(other, seat))) return undefined;
    for (const { connection: other } of others) this.leave(other, room);
    seats.set(connection.id, seat);
    this.#rooms.set(key, seats);
    const entered = this.#entered.get(connection.id) ?? new Set();
    this.#entered.set(connection.id, entered.add(room));
    return others;
  }

  leave({ id, tenant }: Connection, room: string): void {
    const key = keyOf(tenant, room);
    const seats = this.#rooms.get(key);
    if (seats?.delete(id) && seats.size === 0) this.#rooms.delete(key);
    const entered = this.#entered.get(id);
    if (entered?.delete(room) && entered.size === 0) this.#entered.delete(id);
  }

  leaveAll(connection: Connection): void {
    for (const room of this.#entered.get(connection.id) ?? []) this.leave(connection, room);
  }

  count(tenant: string, room: string): OnlineTotals {
    const seats = [...(this.#rooms.get(keyOf(tenant, room))?.values() ?? [])];
    return { users: new Set(seats.map(({ connection }) => connection.user)).size, connections: seats.length };
  }

  clear(): void {
    this.#rooms.clear();
    this.#entered.clear();
  }
}

function isGhost(other: Membership, seat: Membership): boolean {
  return seat.instance !== "" && other.instance === seat.instance && other.connection.user === seat.connection.user;
}

/** No id has control characters. */
function keyOf(tenant: string, room: string): string {
  return tenantKey(tenant, room);
}
