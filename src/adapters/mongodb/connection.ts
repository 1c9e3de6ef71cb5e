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
  type UpdateFilter,
  type UpdateOptions,
  type WithoutId,
} from "mongodb";
import type { Database, Inserted } from "./database.ts";

/** Source: https://www.mongodb.com/docs/manual/reference/error-codes/ */
const duplicateKey = 11_000;

/** Why one document was not inserted. */
interface WriteError {
  readonly index: number;
  readonly code: number;
  readonly errmsg: string;
  /** The fields of the index that a duplicate met, if the server names it. */
  readonly keyPattern?: Document;
}

/** The servers behind a connection. */
export interface ServerInfo {
  /** A replica set or a sharded cluster: majorities exist. */
  readonly replicated: boolean;
  /** The answer to `buildInfo`. */
  readonly build: Document;
}

/** A database of MongoDB, asked with majority concerns and short timeouts. Collections of any name are allowed. */
export class Connection implements Database {
  readonly pageSize = 128;
  readonly #client: MongoClient;
  readonly #db: Db;
  readonly #commandMs: number;
  /** The servers' time as last heard, minus this machine's, and minus `performance.now()` at that moment. */
  #aheadMs = 0;
  #offset = Date.now() - performance.now();
  /** As `#offset`, of the clock of the primary, as it was read last. */
  #clockOffset = this.#offset;
  #replicated = true;

  /**
   * `url` names the database. A command that takes longer than `commandMs` milliseconds is given up, and its connection
   * closed. `watch` sees every command, for tests.
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
      // The store repeats writes itself: it can tell whether the first attempt arrived, and the driver cannot.
      retryWrites: false,
      readPreference: "primary",
      monitorCommands: watch !== undefined,
      promoteBuffers: true,
    });
    if (watch) this.#client.on("commandStarted", watch);
    this.#db = this.#client.db();
  }

  get now(): number {
    // The later of two estimates, since what was learned long ago must not pass for new: this machine's clock can be set back,
    // and `performance.now()` stands still while the machine is suspended.
    return Math.max(Date.now() + this.#aheadMs, performance.now() + this.#offset);
  }

  get clock(): number {
    return Math.floor(performance.now() + this.#clockOffset);
  }

  /**
   * Reads the clock of the primary, for `clock`. Resolves to its time, or, of a server that does not tell it, to that of
   * this machine.
   */
  async readClock(): Promise<number> {
    const sent = performance.now();
    return this.#learnClock(await this.#db.command({ hello: 1 }), sent);
  }

  /** The answer to a `hello` was true half a round trip ago. */
  #learnClock({ localTime }: Document, sent: number): number {
    const received = performance.now();
    const time = localTime instanceof Date ? localTime.getTime() : Date.now();
    this.#clockOffset = time + (received - sent) / 2 - received;
    return time;
  }

  /** Connects, and asks what the servers are. Throws if none answers, and may then be called again. */
  async open(): Promise<ServerInfo> {
    // The driver connects by itself for the first command only: if that failed, all later ones would fail.
    await this.#client.connect();
    const sent = performance.now();
    const hello = await this.#db.command({ hello: 1 });
    this.#learnClock(hello, sent);
    const build = await this.#db.command({ buildInfo: 1 });
    this.#replicated = hello.setName !== undefined || hello.msg === "isdbgrid";
    return { replicated: this.#replicated, build };
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  /** A collection of any name, with majority concerns. */
  collection<T extends Document>(name: string): Collection<T> {
    return this.#db.collection<T>(name, {
      ...(this.#replicated ? { readConcern: { level: "majority" } } : {}),
      writeConcern: this.#writeConcern,
    });
  }

  /** The names of the collections that exist. */
  async collectionNames(): Promise<string[]> {
    const found = await this.#db.listCollections({}, { nameOnly: true }).toArray();
    return found.map(({ name }) => name);
  }

  async find<T extends Document>(name: string, filter: Filter<T>, options: FindOptions = {}): Promise<T[]> {
    return (await this.collection<T>(name).find(filter, options).toArray()) as unknown as T[];
  }

  iterate<T extends Document>(name: string, filter: Filter<T>, options: FindOptions = {}): AsyncIterable<T> {
    return this.collection<T>(name).find(filter, options) as unknown as AsyncIterable<T>;
  }

  async aggregate<T extends Document>(name: string, pipeline: Document[], options: AggregateOptions): Promise<T[]> {
    return this.collection(name).aggregate<T>(pipeline, options).toArray();
  }

  /**
   * Not by the driver's insertMany, which hides a write concern error behind a write error and drops the server's time.
   */
  async insert(name: string, documents: readonly object[], ordered: boolean): Promise<Inserted> {
    try {
      const reply = await this.#db.command({ insert: name, documents, ordered, writeConcern: this.#writeConcern });
      const time = timeOf(reply.operationTime as Timestamp | undefined);
      this.#aheadMs = time - Date.now();
      this.#offset = time - performance.now();
      const errors = (reply.writeErrors ?? []) as readonly WriteError[];
      const other = errors.find(({ code }) => code !== duplicateKey);
      const error = reply.writeConcernError ?? other;
      return {
        confirmed: error === undefined,
        duplicates: errors.filter(({ code }) => code === duplicateKey).map(({ index }) => index),
        slotsTaken: errors.every(({ keyPattern }) => keyPattern?.s !== undefined),
        time,
        ...(other && !reply.writeConcernError ? { refused: other.index } : {}),
        ...(error ? { error: Object.assign(new Error(String(error.errmsg)), { code: error.code }) } : {}),
      };
    } catch (error) {
      return { confirmed: false, duplicates: [], slotsTaken: false, time: this.now, error };
    }
  }

  async updateOne<T extends Document>(
    name: string,
    filter: Filter<T>,
    change: UpdateFilter<T>,
    options: UpdateOptions = {},
  ): Promise<number> {
    return (await this.collection<T>(name).updateOne(filter, change, options)).modifiedCount;
  }

  async updateMany<T extends Document>(name: string, filter: Filter<T>, change: UpdateFilter<T>): Promise<number> {
    return (await this.collection<T>(name).updateMany(filter, change)).modifiedCount;
  }

  async replaceOne<T extends Document>(name: string, filter: Filter<T>, document: WithoutId<T>): Promise<number> {
    return (await this.collection<T>(name).replaceOne(filter, document)).modifiedCount;
  }

  async deleteMany<T extends Document>(name: string, filter: Filter<T>): Promise<number> {
    return (await this.collection<T>(name).deleteMany(filter)).deletedCount;
  }

  async createIndexes(name: string, indexes: readonly IndexDescription[]): Promise<void> {
    await this.collection(name).createIndexes([...indexes]);
  }

  get #writeConcern() {
    return { w: "majority" as const, wtimeoutMS: this.#commandMs, wtimeout: this.#commandMs };
  }
}

/** The time of the cluster, which counts whole seconds, in ms. */
function timeOf(operationTime: Timestamp | undefined): number {
  return operationTime ? operationTime.getHighBitsUnsigned() * 1000 : Date.now();
}
