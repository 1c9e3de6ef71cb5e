import type { Connection, OnlineTotals } from "../../ports/presence.ts";
import { idOf, type Place } from "./presence-commands.ts";

/** That a connection of this node is in a place. */
export interface Held {
  readonly place: Place;
  readonly connection: Connection;
  /** As the scripts name it. */
  readonly member: string;
  /** Of a room, entrance, token and instance; "" of a tenant. */
  readonly info: string;
  /** Tells this entry from an earlier and a later one of the same connection. */
  readonly token: string;
  /** Redis has not answered yet whether it may. */
  pending: boolean;
  /** Redis has answered that it knows. */
  told: boolean;
}

interface PlaceHeld {
  readonly place: Place;
  readonly members: Map<string, Held>;
  readonly users: Map<string, number>;
}

/** What this node's connections hold: what Redis is told again when it has forgotten. Empty maps are dropped. */
export class LocalMembers {
  readonly #places = new Map<string, PlaceHeld>();
  readonly #byConnection = new Map<string, Map<string, Held>>();

  get(place: Place, member: string): Held | undefined {
    return this.#places.get(idOf(place))?.members.get(member);
  }

  /** In place of what the connection holds there. */
  add(held: Held): void {
    const { place, connection, member } = held;
    const id = idOf(place);
    const there = this.#places.get(id) ?? { place, members: new Map(), users: new Map() };
    this.#places.set(id, there);
    if (!there.members.has(member)) there.users.set(connection.user, (there.users.get(connection.user) ?? 0) + 1);
    there.members.set(member, held);
    const key = keyOf(connection);
    const holds = this.#byConnection.get(key) ?? new Map<string, Held>();
    this.#byConnection.set(key, holds.set(id, held));
  }

  remove({ place, connection, member }: Held): void {
    const id = idOf(place);
    const there = this.#places.get(id);
    if (!there?.members.delete(member)) return;
    const left = (there.users.get(connection.user) ?? 0) - 1;
    if (left > 0) there.users.set(connection.user, left);
    else there.users.delete(connection.user);
    if (there.members.size === 0) this.#places.delete(id);
    const holds = this.#byConnection.get(keyOf(connection));
    if (holds?.delete(id) && holds.size === 0) this.#byConnection.delete(keyOf(connection));
  }

  /** Connections that hold something. */
  get size(): number {
    return this.#byConnection.size;
  }

  /** All that a connection holds. */
  of(connection: Connection): readonly Held[] {
    return [...(this.#byConnection.get(keyOf(connection))?.values() ?? [])];
  }

  /** Where anything is held. */
  get places(): readonly Place[] {
    return [...this.#places.values()].map(({ place }) => place);
  }

  /** All, by place. */
  all(): readonly (readonly Held[])[] {
    return [...this.#places.values()].map(({ members }) => [...members.values()]);
  }

  /** Of this node. */
  tally(place: Place): OnlineTotals {
    const there = this.#places.get(idOf(place));
    return { users: there?.users.size ?? 0, connections: there?.members.size ?? 0 };
  }

  /** Connections of a user in a place. */
  ofUser(place: Place, user: string): number {
    return this.#places.get(idOf(place))?.users.get(user) ?? 0;
  }
}

/** As the scripts name a connection: ids of connections have no newline. */
export function memberOf({ id, user }: Connection): string {
  return `${id}\n${user}`;
}

function keyOf(connection: Connection): string {
  return `${connection.tenant.length}\n${connection.tenant}\n${memberOf(connection)}`;
}
