/** The embedded store: `import { sqliteStore } from "tidings/sqlite"`. */
import type { Logger } from "pino";
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
  /**
   * Logs what an operator should know besides the health of the store, such as a disk that is full and the progress of
   * checks. Default: nothing is logged.
   */
  readonly logger?: Logger;
  /**
   * The largest file that is checked for damage before it is used, in bytes; a larger one is checked while it is used. 0
   * checks every file so. Default 64 MiB, which takes about two seconds.
   */
  readonly checkBytes?: number;
}

/**
 * Creates a store on SQLite, on a thread of its own. One process at a time can open a folder. Throws a TypeError or
 * RangeError for an option that is unknown or wrong.
 */
export function sqliteStore(options: SqliteStoreOptions): Store {
  const { folder, keep = 10_000, committed, logger, checkBytes, ...unknown } = options;
  const [name] = Object.keys(unknown);
  if (name !== undefined) throw new TypeError(`sqliteStore has no option ${name}`);
  if (typeof folder !== "string" || folder === "") throw new TypeError("folder: name a folder, or :memory:");
  if (!Number.isSafeInteger(keep) || keep < 1) throw new RangeError("keep: must be a whole number of at least 1");
  if (checkBytes !== undefined && !(Number.isSafeInteger(checkBytes) && checkBytes >= 0)) {
    throw new RangeError("checkBytes: must be a whole number of at least 0");
  }
  return new SqliteStore({ folder, keep, logger, checkBytes }, committed);
}
