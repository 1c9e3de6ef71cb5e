/**
 * The store's database on a server of MongoDB's protocol that finds documents by scanning, and keeps the order of an
 * insert only so far: FerretDB 1, which the tests run as version 1.24. It is there for the tests, because FerretDB is
 * the only server of that protocol in them that was not written for them. All that it needs is in this file; it differs
 * from MongoDB in four ways:
 *
 * - A query scans its collection, because indexes only keep values unique. So `entries` and `states` are cut into many
 *   small collections by a hash of the feed or the user, and idempotency records lie apart, in `claims`. A query goes
 *   to the collections that its filter names, as through the router of a sharded cluster.
 * - An ordered insert stops at a failure only within 100 documents, and then goes on with the next 100. So longer
 *   inserts are cut.
 * - A change reads a document and then writes it, so that two callers who compare and set at once both succeed. Only
 *   inserts are atomic. So each change that compares holds a lock, which is a document in `locks`.
 * - A command that creates indexes fails if two of them exist. So indexes are created one by one; and because most of
 *   the many collections are never used, before the first insert into a collection.
 *
 * It costs: a read takes as long as its collection is large, a query without a feed reads all collections, a message
 * with a key takes two inserts rather than one, each change that compares takes two commands more, and unread messages
 * are read one by one to be counted. That will do for tests and small amounts of data.
 */
import type {
  Document,
  Filter,
  FindOptions,
  IndexDescription,
  SortDirection,
  UpdateFilter,
  UpdateOptions,
  WithoutId,
} from "mongodb";
import { fnv1a } from "../../util/keys.ts";
import { mapLimited } from "../../util/limit.ts";
import type { Connection } from "./connection.ts";
import { type CollectionName, type Database, type Inserted, maxParallel } from "./database.ts";
import type { EntryDocument } from "./documents.ts";
import { pauseBeforeRetry } from "./retry.ts";

/** The collections that a new database has of `entries`, and of `states`. */
const newParts = 64;
/**
 * The most documents that an ordered insert keeps in order.
 * Source: https://github.com/FerretDB/FerretDB/blob/v1.24.0/internal/handler/msg_insert.go
 */
const maxOrdered = 100;
/** An older lock, in ms, was left by a process that died. */
const abandonedLockMs = 5_000;

/**
 * How many collections a new database has of `entries`, by the server's answer to `buildInfo`: 0 on MongoDB, which
 * needs no more than one.
 */
export function partsFor(build: Document): number {
  return build.ferretdbVersion === undefined ? 0 : newParts;
}

/**
 * The store's database on a server that answered `build` to `buildInfo`. `parts` comes from the description in the
 * database: it stays the same when the data move to another server. Throws if the data were laid out for MongoDB and
 * the server scans.
 */
export function databaseOn(connection: Connection, build: Document, parts: number): Database {
  if (parts > 0) return new ScanningDatabase(connection, parts);
  if (partsFor(build) > 0) throw new Error("the database was made on MongoDB; this server cannot keep it consistent");
  return connection;
}

/** In `locks`. */
interface LockDocument {
  readonly _id: string;
  /** When it was taken, in ms since the Unix epoch. */
  readonly at: number;
}

/** The fields by which documents are spread over collections. */
interface Located {
  readonly _id?: unknown;
  readonly f?: unknown;
  readonly s?: unknown;
}

/** One of the small collections, and the filter of its documents. */
type Target<T> = readonly [name: string, filter: Filter<T>];

/** Routes commands to the small collections; `part` is the name of one. */
class ScanningDatabase implements Database {
  /** A second query of a feed would scan as much as the first. */
  readonly pageSize = Number.MAX_SAFE_INTEGER;
  readonly caveat = "the store's server finds documents by scanning them: it is for tests and small amounts of data";
  readonly #connection: Connection;
  readonly #parts: number;
  #uniqueIndexes: readonly IndexDescription[] = [];
  /** The creation of indexes, by collection. */
  readonly #indexed = new Map<string, Promise<void>>();

  /** `parts`: how many collections there are of `entries`, and of `states`; at least 1. */
  constructor(connection: Connection, parts: number) {
    this.#connection = connection;
    this.#parts = parts;
  }

  get now(): number {
    return this.#connection.now;
  }

  get clock(): number {
    return this.#connection.clock;
  }

  async find<T extends Document>(name: CollectionName, filter: Filter<T>, options: FindOptions = {}): Promise<T[]> {
    const found = await this.#each(name, filter, (part, partFilter) =>
      this.#connection.find<T>(part, partFilter, options),
    );
    return found.length === 1 ? (found[0] as T[]) : merge(found, options);
  }

  async *iterate<T extends Document>(name: CollectionName, filter: Filter<T>, options: FindOptions = {}) {
    for (const [part, partFilter] of await this.#targets(name, filter)) {
      yield* this.#connection.iterate<T>(part, partFilter, options);
    }
  }

  async lastSeqs(feeds: readonly string[]): Promise<Map<string, number>> {
    const last = new Map<string, number>();
    const options = { projection: { _id: 0, f: 1, s: 1 } };
    const rows = await this.find<EntryDocument>("entries", { f: { $in: feeds } }, options);
    for (const { f, s } of rows) last.set(f, Math.max(last.get(f) ?? 0, s));
    return last;
  }

  /** Each collection gets an insert of its own: one after the other if ordered, else at the same time. */
  async insert(name: CollectionName, documents: readonly object[], ordered: boolean): Promise<Inserted> {
    const groups = [...Map.groupBy(documents.keys(), (index) => this.#partOf(name, documents[index] as Located))];
    const insert = async ([part, indexes]: readonly [string, number[]]): Promise<Inserted> => {
      const some = indexes.map((index) => documents[index] as object);
      const result = await this.#insert(name, part, some, ordered);
      return { ...result, duplicates: result.duplicates.map((index) => indexes[index] as number) };
    };
    return ordered ? inOrder(groups, insert) : combine(await mapLimited(maxParallel, groups, insert));
  }

  async updateOne<T extends Document>(
    name: CollectionName,
    filter: Filter<T>,
    change: UpdateFilter<T>,
    options: UpdateOptions = {},
  ): Promise<number> {
    const work = () =>
      this.#each(name, filter, (part, partFilter) => this.#connection.updateOne(part, partFilter, change, options));
    return sum(await this.#exclusively(lockOf(filter), work));
  }

  /** By deduplication key, callers compare and set: the count tells which of them has taken a message back. */
  async updateMany<T extends Document>(
    name: CollectionName,
    filter: Filter<T>,
    change: UpdateFilter<T>,
  ): Promise<number> {
    const work = () =>
      this.#each(name, filter, (part, partFilter) => this.#connection.updateMany(part, partFilter, change));
    const { c } = filter as { c?: unknown };
    return sum(typeof c === "string" ? await this.#exclusively(c, work) : await work());
  }

  async replaceOne<T extends Document>(
    name: CollectionName,
    filter: Filter<T>,
    document: WithoutId<T>,
  ): Promise<number> {
    const work = () =>
      this.#each(name, filter, (part, partFilter) => this.#connection.replaceOne(part, partFilter, document));
    return sum(await this.#exclusively(lockOf(filter), work));
  }

  async deleteMany<T extends Document>(name: CollectionName, filter: Filter<T>): Promise<number> {
    return sum(await this.#each(name, filter, (part, partFilter) => this.#connection.deleteMany(part, partFilter)));
  }

  /** Keeps the unique indexes for #index; the others would never be used. */
  async createIndexes(_name: CollectionName, indexes: readonly IndexDescription[]): Promise<void> {
    this.#uniqueIndexes = indexes.filter(({ unique }) => unique);
  }

  async #insert(name: CollectionName, part: string, documents: readonly object[], ordered: boolean): Promise<Inserted> {
    try {
      if (name === "entries") await this.#index(part);
    } catch (error) {
      return { confirmed: false, duplicates: [], slotsTaken: false, time: this.now, error };
    }
    if (!ordered) return this.#connection.insert(part, documents, false);
    const starts = Array.from({ length: Math.ceil(documents.length / maxOrdered) }, (_, i) => i * maxOrdered);
    return inOrder(starts, async (start) => {
      const result = await this.#connection.insert(part, documents.slice(start, start + maxOrdered), true);
      return { ...result, duplicates: result.duplicates.map((index) => start + index) };
    });
  }

  /** Creates the indexes of a collection, unless this process has. */
  async #index(part: string): Promise<void> {
    const made = this.#indexed.get(part) ?? this.#createIndexes(part);
    this.#indexed.set(part, made);
    await made.catch((error: unknown) => {
      this.#indexed.delete(part);
      throw error;
    });
  }

  async #createIndexes(part: string): Promise<void> {
    for (const index of this.#uniqueIndexes) await this.#connection.createIndexes(part, [index]);
  }

  /** Runs a command on each collection that a filter may find documents in. */
  async #each<T extends Document, R>(
    name: CollectionName,
    filter: Filter<T>,
    work: (part: string, filter: Filter<T>) => Promise<R>,
  ): Promise<R[]> {
    const targets = await this.#targets(name, filter);
    return mapLimited(maxParallel, targets, ([part, partFilter]) => work(part, partFilter));
  }

  /**
   * The collections of the users or feeds that a filter names, or else all. A filter for one value becomes an equality,
   * which is all that the server can look up without a scan.
   */
  async #targets<T extends Document>(name: CollectionName, filter: Filter<T>): Promise<Target<T>[]> {
    const { _id, f, s } = filter as Located;
    if (name === "feeds") return [[name, { ...filter, _id: oneOf(valuesOf(_id)) }]];
    if (name === "states") {
      return valuesOf(_id).map((id) => [this.#partOf(name, { _id: id }), { ...filter, _id: id }] as Target<T>);
    }
    if (f === undefined && s !== 0) {
      const names = await this.#connection.collectionNames();
      return names.filter((part) => part.startsWith("entries-")).map((part) => [part, filter]);
    }
    if (f === undefined) return [["claims", filter]];
    const parts = Map.groupBy(valuesOf(f), (feed) => this.#partOf(name, { f: feed, s }));
    return [...parts].map(([part, feeds]) => [part, { ...filter, f: oneOf(feeds) }]);
  }

  /** The collection of a document. */
  #partOf(name: CollectionName, { _id, f, s }: Located): string {
    if (name === "feeds") return name;
    if (name === "entries" && s === 0) return "claims";
    return `${name}-${fnv1a(String(name === "states" ? _id : f)) % this.#parts}`;
  }

  /** Runs `work` while it holds the lock of a name, which all nodes share. */
  async #exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
    const at = await this.#lock(name);
    try {
      return await work();
    } finally {
      const locks = this.#connection.collection<LockDocument>("locks");
      // A lock that could not be released counts as abandoned soon.
      await locks.deleteOne({ _id: name, at }).catch(() => {});
    }
  }

  /** Takes a lock. Resolves to the time that is in it. */
  async #lock(name: string): Promise<number> {
    for (let attempt = 0; ; attempt++) {
      const at = this.#connection.clock;
      const { confirmed, duplicates, error } = await this.#connection.insert("locks", [{ _id: name, at }], true);
      if (!confirmed) throw error;
      if (duplicates.length === 0) return at;
      const [held] = await this.#connection.find<LockDocument>("locks", { _id: name });
      if (held && held.at < at - abandonedLockMs) {
        await this.#connection.collection<LockDocument>("locks").deleteOne({ _id: name, at: held.at });
      } else await pauseBeforeRetry(attempt);
    }
  }
}

/** The name of the lock of the document that a filter finds. */
function lockOf(filter: object): string {
  const { _id, f } = filter as Located;
  return String(_id ?? f);
}

/** The values of an equality, or of `$in`. */
function valuesOf(condition: unknown): readonly unknown[] {
  return (condition as { $in?: readonly unknown[] } | undefined)?.$in ?? [condition];
}

function oneOf(values: readonly unknown[]): unknown {
  return values.length === 1 ? values[0] : { $in: values };
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

/** Inserts one after the other, up to the first failure. */
async function inOrder<T>(all: readonly T[], insert: (each: T) => Promise<Inserted>): Promise<Inserted> {
  const results: Inserted[] = [];
  for (const each of all) {
    const result = await insert(each);
    results.push(result);
    if (!result.confirmed || result.duplicates.length > 0) break;
  }
  return combine(results);
}

/** The result of several inserts. */
function combine(results: readonly Inserted[]): Inserted {
  const failed = results.find(({ confirmed }) => !confirmed);
  return {
    confirmed: failed === undefined,
    duplicates: results.flatMap(({ duplicates }) => duplicates),
    slotsTaken: results.every(({ slotsTaken }) => slotsTaken),
    time: Math.max(...results.map(({ time }) => time)),
    ...(failed ? { error: failed.error } : {}),
  };
}

/**
 * The documents of several collections in the order of a query, up to its limit. They must have the fields of the
 * order.
 */
function merge<T extends Document>(found: readonly T[][], { sort, limit = 0 }: FindOptions): T[] {
  const documents = found.flat();
  if (sort) {
    const fields = Object.entries(sort as Record<string, SortDirection>);
    documents.sort((a, b) => {
      for (const [field, direction] of fields) {
        const order = compare(a[field], b[field]);
        if (order !== 0) return order * Number(direction);
      }
      return 0;
    });
  }
  return limit > 0 ? documents.slice(0, limit) : documents;
}

/** Strings are ordered by their bytes, as in MongoDB. */
function compare(a: unknown, b: unknown): number {
  if (typeof a === "string" && typeof b === "string") return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return Number(a) - Number(b);
}
