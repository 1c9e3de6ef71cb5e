/**
 * Port Presence: which users are online with which connections, and which connections are in which rooms. Each node holds
 * leases for its connections.
 *
 * The law, held by src/testing/presence.ts for every adapter:
 * - A connection is counted from `enter` to `leave`, once, on every node. Other nodes may learn of a change a moment later.
 * - The connections of a node that died are in no count and no room after 30 s.
 * - `join` decides in one step, however many connections join at the same time on however many nodes: of those that join
 *   by `first` at most one succeeds, and of those that join by `last` one is left.
 * - A connection that loses its room to another is reported once, as a `kicked` change on its own node.
 * - Whatever part of the shared state is lost while it runs on, all counts and rooms are right again within 30 s: the nodes
 *   renew what their connections hold.
 * - A node that cannot reach the shared state loses no stream. `enter` and `leave` resolve, and are shared as soon as
 *   possible; the counts are those of the last known state and the node's own connections, with `asOf`. Only `join` by
 *   `first` or `last` rejects, with ROOMS_UNAVAILABLE, because the members of the room cannot be known. No other method
 *   ever rejects.
 */

/** One open stream of a user. */
export interface Connection {
  /** The id of the stream, which no other stream of any node has. */
  readonly id: string;
  readonly tenant: string;
  readonly user: string;
}

/**
 * How a connection joins a room: by `any` always; by `first` only if no other connection is in the room; by `last` always,
 * and every other connection is removed.
 */
export type JoinMode = "any" | "first" | "last";

/** A connection that wants to be in a room. */
export interface Membership {
  readonly connection: Connection;
  /** The room's canonical id. */
  readonly room: string;
  readonly mode: JoinMode;
  /**
   * The page or device. Another connection of the same user and instance is a stale one of the same page: it does not
   * refuse this one, and is out once this one has joined by `first` or `last`. "" is no instance.
   */
  readonly instance: string;
}

/** The number of users and connections that are online, or in a room. */
export interface OnlineTotals {
  /** Distinct users. */
  readonly users: number;
  /** Open connections of these users. */
  readonly connections: number;
  /** Set when the other nodes' part is not current: the time, in ms since the Unix epoch, at which it was true. */
  readonly asOf?: number;
}

/** A change that watchers are notified of. */
export type PresenceChange =
  /** The tenant's count may have changed; `count` already returns the new one. */
  | { readonly type: "count"; readonly tenant: string }
  /** Another connection took the room, and this connection is no longer in it. */
  | { readonly type: "kicked"; readonly connection: string; readonly room: string };

/** The port. Calls for one connection take effect in the order in which they were made. */
export interface Presence {
  /** Counts the connection as online. Entering twice changes nothing. */
  enter(connection: Connection): Promise<void>;
  /**
   * Puts the connection into a room, in one step. Resolves to false, and changes nothing, if the mode is `first` and
   * another connection is in the room. A connection that joins again takes its own membership over. The connection need not
   * have entered. Rejects with ROOMS_UNAVAILABLE, as above; the join may still happen then, and is undone.
   */
  join(membership: Membership): Promise<boolean>;
  /**
   * Takes the connection out of a room, or, without `room`, out of all rooms and offline. Leaving twice, or without having
   * entered, changes nothing.
   */
  leave(connection: Connection, room?: string): Promise<void>;
  /** Counts a tenant, or all tenants if `tenant` is undefined; with `room`, the members of that room only. */
  count(tenant: string | undefined, room?: string): Promise<OnlineTotals>;
  /** The number of open connections of each user, in the order given; the same user may be named twice. */
  connections(tenant: string, users: readonly string[]): Promise<readonly number[]>;
  /**
   * Calls the listener with every change, of all tenants, until the returned function is called, which may happen twice. A
   * listener that throws does not affect the others: its error becomes a warning of the process.
   */
  watch(listener: (change: PresenceChange) => void): () => void;
  /** The number of leases that this node holds, which is that of its connections. For operators. */
  readonly leases: number;
  /** Takes this node's connections out of every count and room, and calls no listener any more. */
  close(): Promise<void>;
}
