import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { damaged, explain, moved } from "./explain.ts";
import { type FileId, fileIdAt } from "./file-id.ts";
import { databaseName, prepareFolder } from "./file-modes.ts";

/** Step n migrates a database from version n to n + 1. The statements of a released step are never edited. */
const migrations = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE feeds (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, tail INTEGER NOT NULL, UNIQUE (tenant, name));
  -- One row per message. feed and seq locate a message of one feed; a message of several feeds has a row in places for
  -- each.
  CREATE TABLE messages (
    row INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, tenant TEXT NOT NULL, key TEXT, digest TEXT,
    publish_time INTEGER NOT NULL, expire_time INTEGER, feed INTEGER, seq INTEGER, body BLOB NOT NULL
  );
  CREATE UNIQUE INDEX messages_key ON messages (tenant, key) WHERE key IS NOT NULL;
  CREATE INDEX messages_expire_time ON messages (expire_time) WHERE expire_time IS NOT NULL;
  CREATE TABLE places (message INTEGER, feed INTEGER, seq INTEGER, PRIMARY KEY (message, feed)) WITHOUT ROWID;
  -- One row per message and feed. The entry with the last seq of a feed is never deleted, since the numbering would
  -- start again without it: when its message goes it becomes a tombstone, with message 0.
  CREATE TABLE entries (
    feed INTEGER, seq INTEGER, message INTEGER NOT NULL, kind INTEGER NOT NULL, category TEXT NOT NULL,
    publish_time INTEGER NOT NULL, expire_time INTEGER, actor_id TEXT, object_type TEXT, object_id TEXT, batch_id TEXT,
    PRIMARY KEY (feed, seq)
  ) WITHOUT ROWID;
  CREATE INDEX entries_object ON entries (feed, object_type, object_id, seq) WHERE object_id IS NOT NULL;
  CREATE INDEX entries_actor ON entries (feed, actor_id, seq) WHERE kind = 2;
  CREATE TABLE read_states (tenant TEXT, user TEXT, version INTEGER NOT NULL, json TEXT NOT NULL, PRIMARY KEY (tenant, user)) WITHOUT ROWID;
  `,
  `
  ALTER TABLE messages ADD COLUMN batch_id TEXT;
  UPDATE messages SET batch_id = e.batch_id FROM entries e WHERE e.message = messages.row AND e.batch_id IS NOT NULL;
  CREATE INDEX messages_batch ON messages (tenant, batch_id, row) WHERE batch_id IS NOT NULL;
  `,
  `
  -- One row per complete block of a feed: see tallies.ts. A block without one is counted slot by slot. The table may be
  -- there: damage of the header may have changed version 3 into 2.
  CREATE TABLE IF NOT EXISTS tallies (feed INTEGER, block INTEGER, json TEXT NOT NULL, PRIMARY KEY (feed, block)) WITHOUT ROWID;
  `,
];

/** The folder that stands for a database in memory. */
export const memory = ":memory:";
/** No version of the schema will ever be above this: such a one is damage of the header. */
const maxVersion = 1000;
/** The largest file that is checked before it is used, in bytes: it takes about two seconds. */
const defaultCheckBytes = 64 * 1024 * 1024;

/** The files of a database, as they were when it was opened. */
export interface DatabaseFiles {
  readonly main: { readonly path: string; readonly id: FileId };
  /** The write-ahead log (WAL), which holds what was committed since the last checkpoint. */
  readonly wal: { readonly path: string; readonly id: FileId };
}

/** What may be known of a database before it is opened. */
export interface DatabaseOptions {
  /** The files that it must be; undefined for any. */
  readonly expected?: DatabaseFiles | undefined;
  /** The largest file that is checked before it is used, in bytes. Default: 64 MiB. */
  readonly checkBytes?: number | undefined;
}

/** The embedded database: one file, owned by one process, durable at each commit. */
export class Database {
  /** Made with the database, so that a new one after a loss has another. */
  readonly epoch: number;
  /** 32 random bytes, made with the database. */
  readonly secret: Uint8Array;
  /** The files on the disk; undefined for a database in memory. */
  readonly files: DatabaseFiles | undefined;
  /** Whether all of the file was checked when it was opened. If not, it was too large for that. */
  readonly isChecked: boolean;
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /**
   * Opens or creates `tidings.db` in the folder, or a database in memory for `:memory:`. Throws when another process
   * has it open, when it is damaged or of a newer version, and when it is not the `expected` file.
   */
  constructor(folder: string, { expected, checkBytes = defaultCheckBytes }: DatabaseOptions = {}) {
    const file = folder === memory ? folder : join(folder, databaseName);
    // Opening would replace a lost database by an empty one.
    if (expected && fileIdAt(file) !== expected.main.id) throw moved(folder);
    try {
      if (file !== folder) prepareFolder(folder);
      this.#connection = new DatabaseSync(file);
    } catch (error) {
      throw explain(error, folder, file);
    }
    try {
      this.#lock();
      this.isChecked = this.#check(folder, checkBytes);
      this.#migrate(folder);
      this.epoch = this.#meta(
        "epoch",
        () => Buffer.from(String(Math.floor(Date.now() / 1000))),
        (value) => Number(Buffer.from(value)),
      );
      this.secret = this.#meta(
        "secret",
        () => randomBytes(32),
        (value) => value,
      );
      this.files = file === folder ? undefined : filesOf(file);
    } catch (error) {
      this.#connection.close();
      throw explain(error, folder, file);
    }
  }

  /**
   * Returns the prepared statement of a text, which is prepared once. Its parameters are `?`: some versions of Node 22 cannot
   * bind `?1`.
   */
  sql(text: string): StatementSync {
    const known = this.#statements.get(text);
    if (known) return known;
    const statement = this.#connection.prepare(text);
    this.#statements.set(text, statement);
    return statement;
  }

  /** Runs `work` in one transaction. Its changes are durable when this returns, and undone when it throws. */
  transaction<T>(work: () => T): T {
    // The rollback of an earlier transaction may have failed.
    if (this.#connection.isTransaction) this.#connection.exec("ROLLBACK");
    this.sql("BEGIN IMMEDIATE").run();
    try {
      const result = work();
      this.sql("COMMIT").run();
      return result;
    } catch (error) {
      // After some failures, such as a full disk, SQLite has already rolled back by itself.
      if (this.#connection.isTransaction) this.#connection.exec("ROLLBACK");
      throw error;
    }
  }

  /** Whether the files on the disk are still those that are open: an open file goes on without its name. */
  get isInPlace(): boolean {
    if (!this.files) return true;
    const { main, wal } = this.files;
    return fileIdAt(main.path) === main.id && fileIdAt(wal.path) === wal.id;
  }

  /**
   * Copies the write-ahead log into the file; throws when the file cannot be written. SQLite does so by itself every
   * `wal_autocheckpoint` pages, but reports no failure. With `truncate`, the log gives its disk space back.
   */
  checkpoint(truncate: boolean): void {
    this.#connection.prepare(`PRAGMA wal_checkpoint(${truncate ? "TRUNCATE" : "PASSIVE"})`).all();
  }

  close(): void {
    this.#connection.close();
  }

  /**
   * Locks the file, which EXCLUSIVE keeps locked for the life of the process; it also makes the shared-memory file of
   * the WAL unnecessary. The empty transaction takes the lock now instead of with the first write.
   */
  #lock(): void {
    this.#connection.exec(`
      PRAGMA busy_timeout = 0;
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = 4000;
      PRAGMA cache_size = -65536;
      PRAGMA temp_store = MEMORY;
      BEGIN IMMEDIATE; COMMIT;
    `);
  }

  /** Checks the file if it is small enough for a start that does not take long. Returns whether it did. */
  #check(folder: string, maxBytes: number): boolean {
    const pragma = (name: string) => Number(Object.values(this.#connection.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
    if (pragma("page_count") * pragma("page_size") > maxBytes) return false;
    const [row] = this.#connection.prepare("PRAGMA quick_check(1)").all() as { quick_check: string }[];
    if (row?.quick_check === "ok") return true;
    throw damaged(folder, row?.quick_check ?? "no result of the check");
  }

  #migrate(folder: string): void {
    const row = this.#connection.prepare("PRAGMA user_version").get() as { user_version: number };
    if (row.user_version < 0 || row.user_version > maxVersion) {
      throw damaged(folder, `its header has the version ${row.user_version}`);
    }
    if (row.user_version > migrations.length) {
      throw new Error(
        `data folder ${folder} was written by a newer version (schema ${row.user_version}); upgrade first`,
      );
    }
    for (let version = row.user_version; version < migrations.length; version++) {
      this.transaction(() => this.#connection.exec(`${migrations[version]}; PRAGMA user_version = ${version + 1};`));
    }
  }

  #meta<T>(key: string, make: () => Uint8Array, read: (value: Uint8Array) => T): T {
    this.#connection.prepare("INSERT OR IGNORE INTO meta VALUES (?, ?)").run(key, make());
    return read(
      (this.#connection.prepare("SELECT value FROM meta WHERE key = ?").get(key) as { value: Uint8Array }).value,
    );
  }
}

function filesOf(file: string): DatabaseFiles {
  const wal = `${file}-wal`;
  return { main: { path: file, id: fileIdAt(file) ?? "" }, wal: { path: wal, id: fileIdAt(wal) ?? "" } };
}

/** Converts a time for a column. SQL has no infinity: NULL stands for never. */
export function fromTime(time: number): number | null {
  return time === Number.POSITIVE_INFINITY ? null : time;
}

/** The reverse of fromTime. */
export function toTime(column: number | null): number {
  return column ?? Number.POSITIVE_INFINITY;
}

/** Converts a UUID to its 16 bytes for a column; undefined for any other text. */
export function fromUuid(id: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(id)) return undefined;
  return Buffer.from(id.replaceAll("-", ""), "hex");
}

/** The reverse of fromUuid. */
export function toUuid(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
