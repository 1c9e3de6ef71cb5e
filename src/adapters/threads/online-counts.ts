import type { OnlineTotals } from "../../ports/presence.ts";
import { exactKey } from "../../util/keys.ts";
import { type CountMemory, CountTable, createCountTable } from "./shared-counts.ts";

/** A set of connections that is counted: those of a tenant, of a room, or, without a tenant, all. */
export interface CountedSet {
  readonly tenant: string | undefined;
  readonly room?: string | undefined;
}

/** Returns the key of a set, or of a user's connections in it. */
function keyOf({ tenant, room }: CountedSet, user?: string): string {
  if (tenant === undefined) return "";
  const set = exactKey(tenant, room);
  return user === undefined ? `s${set}` : `u${set}${user}`;
}

/** Counts connections and their users by set, for readers in other threads. */
export class OnlineCountsWriter {
  readonly #replaced: (memory: CountMemory) => void;
  #table = createCountTable();

  /** `replaced` is called with a new table, before the old one is marked as retired. */
  constructor(replaced: (memory: CountMemory) => void) {
    this.#replaced = replaced;
  }

  /** The table for new readers. */
  get memory(): CountMemory {
    return this.#table.memory;
  }

  /** Adds a connection of a user to a set, or with -1 takes it out. */
  add(set: CountedSet, user: string, by: 1 | -1): void {
    const { connections } = this.#add(keyOf(set, user), by, 0);
    const isUserChanged = by === 1 ? connections === 1 : connections === 0;
    const users = isUserChanged ? by : 0;
    this.#add(keyOf(set), by, users);
    if (set.room === undefined) this.#add(keyOf({ tenant: undefined }), by, users);
  }

  count(set: CountedSet): OnlineTotals {
    return this.#get(keyOf(set));
  }

  countUser(set: CountedSet, user: string): number {
    return this.#get(keyOf(set, user)).connections;
  }

  #get(key: string): OnlineTotals {
    return this.#table.get(key) ?? { users: 0, connections: 0 };
  }

  #add(key: string, connections: number, users: number): OnlineTotals {
    const before = this.#get(key);
    const totals = { users: before.users + users, connections: before.connections + connections };
    if (this.#table.isFull) this.#replace();
    this.#table.set(key, totals);
    return totals;
  }

  #replace(): void {
    const old = this.#table;
    this.#table = old.replace();
    this.#replaced(this.#table.memory);
    old.retire();
  }
}

/** Reads the counts in another thread. */
export class OnlineCountsReader {
  readonly #table: CountTable;

  constructor(memory: CountMemory) {
    this.#table = new CountTable(memory);
  }

  /** Returns the count of a set; undefined once the table is retired. */
  count(set: CountedSet): OnlineTotals | undefined {
    return this.#table.get(keyOf(set));
  }

  /** Returns the number of a user's connections in a set; undefined once the table is retired. */
  countUser(set: CountedSet, user: string): number | undefined {
    return this.#table.get(keyOf(set, user))?.connections;
  }
}
