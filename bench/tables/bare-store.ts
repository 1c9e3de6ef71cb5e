import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";

/** The size of a stored message. */
const bodyBytes = 300;
const feeds = 1000;

/** SQLite alone: one table, and one transaction with one fsync per batch. It keeps growing over its runs, as a store does. */
export class BareStore implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "tidings-bench-"));
  readonly #db = new DatabaseSync(join(this.#folder, "bare.db"));
  readonly #insert: StatementSync;
  readonly #body = new Uint8Array(bodyBytes);
  #count = 0;

  constructor() {
    this.#db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    this.#db.exec("PRAGMA cache_size = -65536");
    this.#db.exec("CREATE TABLE log (feed INTEGER, seq INTEGER, body BLOB, PRIMARY KEY (feed, seq)) WITHOUT ROWID");
    this.#insert = this.#db.prepare("INSERT INTO log VALUES (?, ?, ?)");
  }

  /** Writes for this time, with `batch` messages per commit. Returns the number of durable messages per second. */
  run(milliseconds: number, batch: number): number {
    const before = this.#count;
    const start = performance.now();
    while (performance.now() - start < milliseconds) {
      this.#db.exec("BEGIN IMMEDIATE");
      for (let index = 0; index < batch; index++, this.#count++) {
        this.#insert.run(this.#count % feeds, Math.floor(this.#count / feeds), this.#body);
      }
      this.#db.exec("COMMIT");
    }
    return (this.#count - before) / ((performance.now() - start) / 1000);
  }

  [Symbol.dispose](): void {
    this.#db.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
