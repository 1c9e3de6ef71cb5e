/**
 * Port Presence: who is online, by connection and by user, and who is in which room. A lease per node stands behind every
 * answer, so that the connections of a node that died without a word are out of every count and room within 30 s.
 *
 * Nodes that cannot reach what they share cost no stream: `enter`, `leave` and the counts answer all the same, the counts
 * with what was known last and the node's own (`asOf`), and what was entered or left is told when it can be. Only `join`
 * by `first` or `last` rejects then, with ROOMS_UNAVAILABLE, for it cannot tell who else is in the room.
 */

/** One open stream of a user. */
export interface Connection {
  /** Unique id of the stream. */
  readonly id: string;
  readonly tenant: string;
  readonly user: string;
}

/** How a room is entered: `any` always; `first` only while nobody else is in it; `last` always, and all others are out. */
export type JoinMode = "any" | "first" | "last";

/** A connection's wish to be in a room. */
export interface Membership {
  readonly connection: Connection;
  readonly room: string;
  readonly mode: JoinMode;
  /**
   * The page or device. Within one user, a connection of the same one is a ghost of this: it does not refuse it, and is
   * out once this enters by `first` or `last`. "" is nobody's ghost.
   */
  readonly instance: string;
}

/** How many are online, or in a room. */
export interface OnlineTotals {
  /** Distinct users. */
  readonly users: number;
  /** Their open streams. */
  readonly connections: number;
  /** When this was true of the other nodes, in ms since the Unix epoch, where it is not now. */
  readonly asOf?: number;
}

/** What watchers are told. */
export type PresenceChange =
  /** The tenant's count may have changed. */
  | { readonly type: "count"; readonly tenant: string }
  /** The connection is no longer in the room: another one took it. */
  | { readonly type: "kicked"; readonly connection: string; readonly room: string };

/** The port. */
export interface Presence {
  /** The stream is open; entering twice changes nothing. */
  enter(connection: Connection): Promise<void>;
  /** Enters a room, at once and as a whole; answers false when somebody else is in it and the entrance is `first`. */
  join(seat: Membership): Promise<boolean>;
  /** The stream has left the room, or all without one, and then is closed; leaving twice changes nothing. */
  leave(connection: Connection, room?: string): Promise<void>;
  /** Of a tenant, or of all when undefined; with a room, of those who are in it. */
  count(tenant: string | undefined, room?: string): Promise<OnlineTotals>;
  /** Open streams of each of these users, in the order given. */
  connections(tenant: string, users: readonly string[]): Promise<readonly number[]>;
  /** Calls with every change until the returned function is called. A listener that throws hurts nobody else. */
  watch(listener: (change: PresenceChange) => void): () => void;
  /** Leases that this node holds: its connections. For operators. */
  readonly leases: number;
  /** Takes this node's streams out of every count and room. */
  close(): Promise<void>;
}
