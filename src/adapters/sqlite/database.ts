import { randomBytes } from "node:crypto";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { prepareFolder } from "./file-modes.ts";

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
];

/** Result codes of SQLite (https://www.sqlite.org/rescode.html). */
const busy = 5;
const corrupt = 11;
const notADatabase = 26;

/** The embedded database: one file, owned by one process, durable at each commit. */
export class Database {
  /** Made with the database, so that a new one after a loss has another. */
  readonly epoch: number;
  /** 32 random bytes, made with the database. */
  readonly secret: Uint8Array;
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /**
   * Opens or creates `tidings.db` in the folder, or a database in memory for `:memory:`. Throws when another process
   * has it open, and when it is damaged or of a newer version.
   */
  constructor(folder: string) {
    this.#connection = new DatabaseSync(folder === ":memory:" ? folder : prepareFolder(folder));
    try {
      this.#lock();
      this.#check();
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
    } catch (error) {
      this.#connection.close();
      throw explain(error, folder);
    }
  }

  /** Returns the prepared statement of a text, which is prepared once. */
  sql(text: string): StatementSync {
    const known = this.#statements.get(text);
    if (known) return known;
    const statement = this.#connection.prepare(text);
    this.#statements.set(text, statement);
    return statement;
  }

  /** Runs `work` in one transaction. Its changes are durable when this returns, and undone when it throws. */
  transaction<T>(work: () => T): T {
    this.#connection.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#connection.exec("COMMIT");
      return result;
    } catch (error) {
      // After some failures, such as a full disk, SQLite has already rolled back by itself.
      if (this.#connection.isTransaction) this.#connection.exec("ROLLBACK");
      throw error;
    }
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

  #check(): void {
    const [row] = this.#connection.prepare("PRAGMA quick_check(1)").all() as { quick_check: string }[];
    if (row?.quick_check === "ok") return;
    throw Object.assign(new Error(row?.quick_check.replaceAll("\n", " ")), { errcode: corrupt });
  }

  #migrate(folder: string): void {
    const row = this.#connection.prepare("PRAGMA user_version").get() as { user_version: number };
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

/** Returns an error that tells an operator what to do, where there is something to do. */
function explain(error: unknown, folder: string): unknown {
  const { errcode = 0, message } = error as Error & { errcode?: number };
  // The low byte of an extended result code is the primary one.
  switch (errcode & 0xff) {
    case busy:
      return new Error(`data folder ${folder} is in use by another process; stop it or name another folder`, {
        cause: error,
      });
    case corrupt:
    case notADatabase:
      return new Error(`data folder ${folder} is damaged (${message}); restore it from a backup`, { cause: error });
    default:
      return error;
  }
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
