/** The embedded store: `import { sqliteStore } from "tidings/sqlite"`. */
import type { CommitListener, Store } from "../../ports/store.ts";
import { SqliteStore } from "./store.ts";

/** Options of sqliteStore. */
export interface SqliteStoreOptions {
  /** Folder of the database, created if missing; `:memory:` stores nothing on disk. */
  readonly folder: string;
  /** Messages kept per feed; the oldest are deleted first. Default 10,000. */
  readonly keep?: number;
  /** Called after every commit that is on the disk. */
  readonly committed?: CommitListener;
}

/** Creates a store on SQLite, on a thread of its own. One process at a time can open a folder. */
export function sqliteStore({ folder, keep = 10_000, committed }: SqliteStoreOptions): Store {
  return new SqliteStore({ folder, keep }, committed);
}
