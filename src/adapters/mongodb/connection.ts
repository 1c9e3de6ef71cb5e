import { setTimeout as sleep } from "node:timers/promises";
import {
  type AggregateOptions,
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
import { backoffMs } from "../../util/backoff.ts";
import { mapLimited } from "../../util/limit.ts";

const duplicateKey = 11_000;
/**
 * FerretDB 1.24 takes so many documents of an insert at a time, and goes on with the next ones after a failure in an
 * ordered insert: https://github.com/FerretDB/FerretDB/blob/v1.24.0/internal/handler/msg_insert.go
 */
const orderedTogether = 100;
/** Commands under way for one call. */
export const maxParallel = 16;
const retryTimes = { baseMs: 5, capMs: 100 };

/** What became of an insert. */
export interface Inserted {
  /** Everything that is not in `taken` is durable. Otherwise nothing is known of any document. */
  readonly sure: boolean;
  /** Indexes of documents that met another one with the same key. Of an ordered insert: at most one, and none after it was tried. */
  readonly taken: readonly number[];
  /** Each of these is known to have met another one at its slot: somebody was faster. False where the server does not say. */
  readonly outrun: boolean;
  /** The server's time of the answer where it tells one, else this machine's, in milliseconds. */
  readonly time: number;
  readonly error?: unknown;
}

/** Why one document was not inserted. */
interface WriteError {
  readonly index: number;
  readonly code: number;
  readonly errmsg: string;
  /** The index that a duplicate met; FerretDB does not tell. */
  readonly keyPattern?: Document;
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
  /** Made at the first insert into a collection; none where all were made when the store was opened. */
  #lateIndexes: readonly IndexDescription[] = [];
  #hasLateIndexes: (name: string) => boolean = () => false;
  readonly #indexed = new Map<string, Promise<unknown>>();

  readonly #commandMs: number;

  /**
   * `url` names the database. A command that takes longer than `commandMs` milliseconds is given up with its connection.
   * `watch` sees every command, for tests.
   */
  constructor(url: string, commandMs: number, watch?: (event: CommandStartedEvent) => void) {
    this.#commandMs = commandMs;
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

  /** Connects, and finds out what the servers can. Throws when there is none, and may be called again then. */
  async open(): Promise<Topology> {
    // By itself the driver connects once only: after a failure every command fails.
    await this.#client.connect();
    const hello = await this.db.command({ hello: 1 });
    const build = await this.db.command({ buildInfo: 1 });
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

  /** All that a pipeline makes of a collection, read from a majority. */
  async aggregate<T extends Document>(name: string, pipeline: Document[], options: AggregateOptions): Promise<T[]> {
    return this.collection(name).aggregate<T>(pipeline, options).toArray();
  }

  /** What a query finds in several collections. */
  async findAcross<T extends Document>(
    names: readonly string[],
    filter: Filter<T>,
    options: FindOptions,
  ): Promise<T[]> {
    const [only, more] = names;
    if (only !== undefined && more === undefined) return this.find(only, filter, options);
    const made = await this.db.listCollections({}, { nameOnly: true }).toArray();
    const there = new Set(made.map(({ name }) => name));
    const found = await mapLimited(
      maxParallel,
      names.filter((name) => there.has(name)),
      (name) => this.find<T>(name, filter, options),
    );
    return found.flat();
  }

  /** Collections are many, and most of them never used: each gets its indexes before its first document. */
  indexOnInsert(indexes: readonly IndexDescription[], which: (name: string) => boolean): void {
    this.#lateIndexes = indexes;
    this.#hasLateIndexes = which;
  }

  /**
   * Inserts as one command, or as one after the other where the server keeps to an order only so far. Never throws: a
   * command without an answer is one of which nothing is known.
   */
  async insert(name: string, documents: readonly object[], ordered: boolean): Promise<Inserted> {
    const most = ordered && this.#topology.scans ? orderedTogether : documents.length;
    for (let first = 0; ; first += most) {
      const result = await this.#insert(name, documents.slice(first, first + most), ordered);
      if (!result.sure || result.taken.length > 0 || first + most >= documents.length) {
        return { ...result, taken: result.taken.map((index) => first + index) };
      }
    }
  }

  /** Not the driver's insertMany: that one hides a write concern error behind a write error, and tells no server's time. */
  async #insert(name: string, documents: readonly object[], ordered: boolean): Promise<Inserted> {
    try {
      if (this.#hasLateIndexes(name)) await this.#index(name);
      const reply = await this.db.command({ insert: name, documents, ordered, writeConcern: this.#writeConcern });
      const time = timeOf(reply.operationTime as Timestamp | undefined);
      this.#ahead = time - Date.now();
      const errors = (reply.writeErrors ?? []) as readonly WriteError[];
      const other = errors.find(({ code }) => code !== duplicateKey);
      const error = reply.writeConcernError ?? other;
      return {
        sure: error === undefined,
        taken: errors.filter(({ code }) => code === duplicateKey).map(({ index }) => index),
        outrun: errors.every(({ keyPattern }) => keyPattern?.s !== undefined),
        time,
        ...(error ? { error: Object.assign(new Error(String(error.errmsg)), { code: error.code }) } : {}),
      };
    } catch (error) {
      return { sure: false, taken: [], outrun: false, time: this.now, error };
    }
  }

  /** Makes the indexes of a collection that are not there; one by one, for FerretDB fails on two that are. */
  async makeIndexes(name: string, indexes: readonly IndexDescription[]): Promise<void> {
    for (const index of indexes) await this.collection(name).createIndexes([index]);
  }

  async #index(name: string): Promise<void> {
    const made = this.#indexed.get(name) ?? this.makeIndexes(name, this.#lateIndexes);
    this.#indexed.set(name, made);
    await made.catch((error: unknown) => {
      this.#indexed.delete(name);
      throw error;
    });
  }

  get #writeConcern() {
    return { w: "majority" as const, wtimeoutMS: this.#commandMs, wtimeout: this.#commandMs };
  }
}

/** The clusters' time in whole seconds, as milliseconds. */
function timeOf(operationTime: Timestamp | undefined): number {
  return operationTime ? operationTime.getHighBitsUnsigned() * 1000 : Date.now();
}

/** Waits before the next attempt: nodes that collided here must not collide again. */
export function jitter(attempt: number): Promise<void> {
  return sleep(backoffMs(retryTimes, attempt, Math.random()));
}
