/**
 * Port Presence: who is online, by connection and by user. A lease per node stands behind every answer, so that the
 * connections of a node that died without a word are out of the count within 30 s.
 */

/** One open stream of a user. */
export interface Connection {
  /** Unique id of the stream. */
  readonly id: string;
  readonly tenant: string;
  readonly user: string;
}

/** How many are online. */
export interface OnlineTally {
  /** Distinct users. */
  readonly users: number;
  /** Their open streams. */
  readonly connections: number;
}

/** The port. */
export interface Presence {
  /** The stream is open; entering twice changes nothing. */
  enter(connection: Connection): Promise<void>;
  /** The stream is closed; leaving twice changes nothing. */
  leave(connection: Connection): Promise<void>;
  /** Of one tenant, or of all when undefined. */
  count(tenant: string | undefined): Promise<OnlineTally>;
  /** Open streams of each of these users, in the order given. */
  connections(tenant: string, users: readonly string[]): Promise<readonly number[]>;
  /** Calls whenever a tenant's count may have changed, until the returned function is called. A listener that throws hurts nobody else. */
  watch(listener: (tenant: string) => void): () => void;
  /** Takes this node's streams out of every count. */
  close(): Promise<void>;
}
