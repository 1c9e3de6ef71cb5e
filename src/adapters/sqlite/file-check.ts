import type { BackgroundTask } from "./background.ts";
import type { Database } from "./database.ts";
import { isDamage, resultCode } from "./explain.ts";

/** The longest slice, in ms: the check never has to hurry. */
const sliceMs = 8;
/** Time between two reports of the progress, in ms. */
const reportMs = 10_000;

type Key = readonly (string | number | Uint8Array | null)[];

/** One b-tree of the database, read in the order of its key. */
interface Tree {
  /** What an operator calls it. */
  readonly name: string;
  /** Returns the last key of the next rows, or no row at the end. It takes the key after which to go on. */
  readonly sql: string;
  /** A key before all others. */
  readonly start: Key;
}

/** Rows that are read between two looks at the clock. Those of messages are larger. */
const step = 512;
const messageStep = 32;

function tree(name: string, from: string, key: string, start: Key, where = ""): Tree {
  const after = `(${key}) > (${start.map(() => "?").join(", ")})`;
  return {
    name,
    sql: `SELECT ${key} FROM ${from} WHERE ${where}${after} ORDER BY ${key} LIMIT 1 OFFSET ${step - 1}`,
    start,
  };
}

const none = new Uint8Array();

/** All trees. The search of a pattern that is nowhere makes SQLite read every page of each body. */
const trees: readonly Tree[] = [
  {
    name: "messages",
    sql: `SELECT max(row), count(*), total(instr(body, x'FFFFFFFFFFFFFFFF')) FROM
      (SELECT row, body FROM messages WHERE row > ? ORDER BY row LIMIT ${messageStep}) HAVING count(*) = ${messageStep}`,
    start: [0],
  },
  tree("entries", "entries", "feed, seq", [0, 0]),
  tree("places", "places", "message, feed", [0, 0]),
  tree("feeds", "feeds", "id", [0]),
  tree("read states", "read_states", "tenant, user", ["", ""]),
  tree("names of feeds", "feeds INDEXED BY sqlite_autoindex_feeds_1", "tenant, name", ["", ""]),
  tree("ids", "messages INDEXED BY sqlite_autoindex_messages_1", "id", [none]),
  tree("keys", "messages INDEXED BY messages_key", "tenant, key", ["", ""], "key IS NOT NULL AND "),
  // Of equal keys, only the first ones are read: SQLite cannot go on between two of them without reading all.
  tree("expiry", "messages INDEXED BY messages_expire_time", "expire_time", [0]),
  tree("batches", "messages INDEXED BY messages_batch", "tenant, batch_id", ["", ""], "batch_id IS NOT NULL AND "),
  tree(
    "objects",
    "entries INDEXED BY entries_object",
    "feed, object_type, object_id, seq",
    [0, "", "", 0],
    "object_id IS NOT NULL AND ",
  ),
  tree("actors", "entries INDEXED BY entries_actor", "feed, actor_id, seq", [0, "", 0], "kind = 2 AND "),
  tree("tallies", "tallies", "feed, block", [0, -1]),
];

/**
 * Checks a file that was too large to be checked before it was used, by reading all of it in slices between calls. It finds
 * the pages that SQLite cannot read; a slice throws the error of the first one.
 */
export class FileCheck implements BackgroundTask {
  readonly pause = 4;
  readonly #db: Database;
  readonly #report: (sentence: string) => void;
  readonly #started = performance.now();
  #reported = this.#started;
  #tree = 0;
  #key: Key | undefined;

  /** `report` gets the progress now and then, and the end. */
  constructor(db: Database, report: (sentence: string) => void) {
    this.#db = db;
    this.#report = report;
  }

  slice(budgetMs: number): boolean {
    const start = performance.now();
    do {
      if (this.#tree === trees.length) return false;
      this.#next();
    } while (performance.now() - start < Math.min(budgetMs, sliceMs));
    if (performance.now() - this.#reported > reportMs) {
      this.#reported = performance.now();
      this.#report(`checking the data folder: ${this.progress}`);
    }
    return true;
  }

  #next(): void {
    const { sql, start } = trees[this.#tree] as Tree;
    const key = this.#key ?? start;
    const row = this.#read(sql, key);
    this.#key = row && (Object.values(row).slice(0, key.length) as Key);
    if (row) return;
    this.#tree++;
    if (this.#tree < trees.length) return;
    this.#report(`the data folder was checked in ${Math.round((performance.now() - this.#started) / 1000)} s`);
  }

  #read(sql: string, key: Key) {
    try {
      return this.#db.sql(sql).get(...key);
    } catch (error) {
      // One damaged page is enough to know; an error of the disk may pass.
      if (isDamage(resultCode(error))) this.#tree = trees.length;
      throw error;
    }
  }

  /** How far it is, such as `messages, 40 %`. The keys of the two largest trees begin with a number that ascends. */
  get progress(): string {
    const { name } = trees[this.#tree] ?? { name: "done" };
    const last = this.#readLast(name);
    if (last === undefined) return `${name}, ${this.#tree} of ${trees.length} parts`;
    return `${name}, ${Math.floor((100 * Number(this.#key?.[0] ?? 0)) / Math.max(last, 1))} %`;
  }

  #readLast(name: string): number | undefined {
    if (name === "messages") return this.#max("SELECT max(row) AS last FROM messages");
    if (name === "entries") return this.#max("SELECT max(id) AS last FROM feeds");
    return undefined;
  }

  #max(sql: string): number {
    return Number(this.#db.sql(sql).get()?.last ?? 0);
  }
}
