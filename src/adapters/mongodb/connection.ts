import { setTimeout as sleep } from "node:timers/promises";
import {
  type Collection,
  type CommandStartedEvent,
  type Db,
  type Document,
  type Filter,
  type FindOptions,
  type IndexDescription,
  MongoClient,
  type Timestamp,
} from "mongodb";

/** What one command may take until its connection is given up, in milliseconds. */
const commandMs = 2_000;
const duplicateKey = 11_000;

/** What became of an insert. */
export interface Inserted {
  /** Everything that is not in `taken` is durable. Otherwise nothing is known of any document. */
  readonly sure: boolean;
  /** Indexes of documents that met another one with the same key. Of an ordered insert: at most one, and none after it was tried. */
  readonly taken: readonly number[];
  /** The server's time of the answer where it tells one, else this machine's, in milliseconds. */
  readonly time: number;
  readonly error?: unknown;
}

/** Which servers these are. */
export interface Topology {
  /** A replica set or a sharded cluster: majorities exist. */
  readonly replicated: boolean;
  /** It looks documents up by scanning their collection: indexes only keep values unique. */
  readonly scans: boolean;
}

/** The database: commands with majority concerns and short timeouts. */
export class Connection {
  readonly db: Db;
  readonly #client: MongoClient;
  /** How far the servers' clock is ahead of this machine's, in milliseconds. */
  #ahead = 0;
  #topology: Topology = { replicated: true, scans: false };
  /** Made at the first insert into a collection; undefined where all were made when the store was opened. */
  #lateIndexes: readonly IndexDescription[] | undefined;
  readonly #indexed = new Map<string, Promise<unknown>>();

  /** `url` names the database. `watch` sees every command, for tests. */
  constructor(url: string, watch?: (event: CommandStartedEvent) => void) {
    this.#client = new MongoClient(url, {
      appName: "tidings",
      connectTimeoutMS: commandMs,
      socketTimeoutMS: commandMs,
      serverSelectionTimeoutMS: commandMs,
      waitQueueTimeoutMS: commandMs,
      heartbeatFrequencyMS: 1_000,
      // From this process: retries know more than the driver's, which repeats once and blindly.
      retryWrites: false,
      readPreference: "primary",
      monitorCommands: watch !== undefined,
      promoteBuffers: true,
    });
    if (watch) this.#client.on("commandStarted", watch);
    this.db = this.#client.db();
  }

  /** The servers' time as far as it is known, in milliseconds: comparable with Inserted's. */
  get now(): number {
    return Date.now() + this.#ahead;
  }

  get topology(): Topology {
    return this.#topology;
  }

  /** Connects, and finds out what the servers can. Throws when there is none. */
  async open(): Promise<Topology> {
    const [hello, build] = await Promise.all([this.db.command({ hello: 1 }), this.db.command({ buildInfo: 1 })]);
    this.#topology = {
      replicated: hello.setName !== undefined || hello.msg === "isdbgrid",
      scans: build.ferretdbVersion !== undefined,
    };
    return this.#topology;
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  collection<T extends Document>(name: string): Collection<T> {
    return this.db.collection<T>(name, {
      ...(this.#topology.replicated ? { readConcern: { level: "majority" } } : {}),
      writeConcern: this.#writeConcern,
    });
  }

  /** All that a query finds, read from a majority. */
  async find<T extends Document>(name: string, filter: Filter<T>, options: FindOptions = {}): Promise<T[]> {
    return (await this.collection<T>(name).find(filter, options).toArray()) as unknown as T[];
  }

  /** Collections are many, and most of them never used: each gets its indexes before its first document. */
  indexOnInsert(indexes: readonly IndexDescription[]): void {
    this.#lateIndexes = indexes;
  }

  /**
   * Inserts as one command. Not the driver's insertMany: that one hides a write concern error behind a write error, and
   * does not tell the server's time. Never throws: a command without an answer is one of which nothing is known.
   */
  async insert(name: string, documents: readonly object[], ordered: boolean): Promise<Inserted> {
    try {
      if (this.#lateIndexes) await this.#index(name, this.#lateIndexes);
      const reply = await this.db.command({ insert: name, documents, ordered, writeConcern: this.#writeConcern });
      const time = timeOf(reply.operationTime as Timestamp | undefined);
      this.#ahead = time - Date.now();
      const errors = (reply.writeErrors ?? []) as readonly { index: number; code: number; errmsg: string }[];
      const other = errors.find(({ code }) => code !== duplicateKey);
      const error = reply.writeConcernError ?? other;
      return {
        sure: error === undefined,
        taken: errors.filter(({ code }) => code === duplicateKey).map(({ index }) => index),
        time,
        ...(error ? { error: Object.assign(new Error(String(error.errmsg)), { code: error.code }) } : {}),
      };
    } catch (error) {
      return { sure: false, taken: [], time: this.now, error };
    }
  }

  /** Only those that are missing: FerretDB 1.24 drops the connection of who creates one that another node has made. */
  async #createIndexes(name: string, indexes: readonly IndexDescription[]): Promise<void> {
    const { cursor } = await this.db.command({ listIndexes: name }).catch(() => ({ cursor: { firstBatch: [] } }));
    const there = new Set((cursor.firstBatch as readonly IndexDescription[]).map(({ key }) => JSON.stringify(key)));
    const missing = indexes.filter(({ key }) => !there.has(JSON.stringify(key)));
    if (missing.length > 0) await this.collection(name).createIndexes(missing);
  }

  async #index(name: string, indexes: readonly IndexDescription[]): Promise<void> {
    const made = this.#indexed.get(name) ?? this.#createIndexes(name, indexes);
    this.#indexed.set(name, made);
    await made.catch((error: unknown) => {
      this.#indexed.delete(name);
      throw error;
    });
  }

  get #writeConcern() {
    return { w: "majority" as const, wtimeoutMS: commandMs, wtimeout: commandMs };
  }
}

/** The clusters' time in whole seconds, as milliseconds. */
function timeOf(operationTime: Timestamp | undefined): number {
  return operationTime ? operationTime.getHighBitsUnsigned() * 1000 : Date.now();
}

/** Waits a little, not as long as others do who met here. */
export function jitter(attempt: number): Promise<void> {
  return sleep(Math.random() * Math.min(100, 5 * 2 ** attempt));
}
