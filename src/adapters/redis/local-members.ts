import type { Connection, OnlineTotals } from "../../ports/presence.ts";
import { exactKey, joinKey } from "../../util/keys.ts";
import { type MemberSet, setKey } from "./presence-commands.ts";

/** A connection of this node as a member of a set. */
export interface LocalMember {
  readonly set: MemberSet;
  readonly connection: Connection;
  /** The member's name in Redis: see memberName. */
  readonly name: string;
  /** Mode, token and instance of a member of a room, for the scripts; "" in a tenant's set. */
  readonly info: string;
  /** Distinguishes this membership from earlier and later ones of the same connection. */
  readonly token: string;
  /** Redis has not answered yet whether the connection may enter. */
  pending: boolean;
  /** Redis has confirmed that it holds the lease. */
  confirmed: boolean;
}

interface LocalSet {
  readonly set: MemberSet;
  readonly members: Map<string, LocalMember>;
  /** User → number of connections. */
  readonly users: Map<string, number>;
}

/** The members that are connections of this node: the truth about them, and what restores them in Redis. */
export class LocalMembers {
  /** Empty maps are dropped, here and below. */
  readonly #sets = new Map<string, LocalSet>();
  readonly #byConnection = new Map<string, Map<string, LocalMember>>();

  get(set: MemberSet, name: string): LocalMember | undefined {
    return this.#sets.get(setKey(set))?.members.get(name);
  }

  /** Adds a member, replacing an earlier one of the same connection in the same set. */
  add(member: LocalMember): void {
    const { set, connection, name } = member;
    const key = setKey(set);
    const local = this.#sets.get(key) ?? { set, members: new Map(), users: new Map() };
    this.#sets.set(key, local);
    if (!local.members.has(name)) local.users.set(connection.user, (local.users.get(connection.user) ?? 0) + 1);
    local.members.set(name, member);
    const owner = connectionKey(connection);
    const own = this.#byConnection.get(owner) ?? new Map<string, LocalMember>();
    this.#byConnection.set(owner, own.set(key, member));
  }

  remove({ set, connection, name }: LocalMember): void {
    const key = setKey(set);
    const local = this.#sets.get(key);
    if (!local?.members.delete(name)) return;
    const left = (local.users.get(connection.user) ?? 0) - 1;
    if (left > 0) local.users.set(connection.user, left);
    else local.users.delete(connection.user);
    if (local.members.size === 0) this.#sets.delete(key);
    const own = this.#byConnection.get(connectionKey(connection));
    if (own?.delete(key) && own.size === 0) this.#byConnection.delete(connectionKey(connection));
  }

  /** The number of connections that are members of a set. */
  get size(): number {
    return this.#byConnection.size;
  }

  /** Returns all memberships of a connection. */
  of(connection: Connection): readonly LocalMember[] {
    return [...(this.#byConnection.get(connectionKey(connection))?.values() ?? [])];
  }

  /** The sets that have members here. */
  get sets(): readonly MemberSet[] {
    return [...this.#sets.values()].map(({ set }) => set);
  }

  /** Returns all members, a list per set. */
  bySet(): readonly (readonly LocalMember[])[] {
    return [...this.#sets.values()].map(({ members }) => [...members.values()]);
  }

  /** Counts this node's part of a set. */
  count(set: MemberSet): OnlineTotals {
    const local = this.#sets.get(setKey(set));
    return { users: local?.users.size ?? 0, connections: local?.members.size ?? 0 };
  }

  /** Counts this node's connections of a user in a set. */
  countUser(set: MemberSet, user: string): number {
    return this.#sets.get(setKey(set))?.users.get(user) ?? 0;
  }
}

/** Returns the name of a connection in Redis: its id, which has no newline, and its user. */
export function memberName({ id, user }: Connection): string {
  return joinKey(id, user);
}

/** A key for a connection in maps of this process. */
function connectionKey(connection: Connection): string {
  return exactKey(connection.tenant, memberName(connection));
}
