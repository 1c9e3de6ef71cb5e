import type {
  AggregateOptions,
  Document,
  Filter,
  FindOptions,
  IndexDescription,
  UpdateFilter,
  UpdateOptions,
  WithoutId,
} from "mongodb";

/** The most commands that one call of the store has in flight at a time. */
export const maxParallel = 16;
/** The most ranges of a feed that one query names. With more, the query also reads the entries between the ranges. */
export const maxRanges = 16;

/** A collection of the store; see documents.ts for its documents. */
export type CollectionName = "entries" | "feeds" | "states";

/** The result of an insert. */
export interface Inserted {
  /**
   * Whether every document that is not in `duplicates` is on a majority. If false, the fate of all documents is
   * unknown.
   */
  readonly confirmed: boolean;
  /** Indexes of the documents whose unique key was taken. An ordered insert stops at the first one. */
  readonly duplicates: readonly number[];
  /**
   * Whether every duplicate failed because its slot (feed and number) was taken. False if the server does not name the
   * index that refused it.
   */
  readonly slotsTaken: boolean;
  /**
   * When the server answered, by its clock, or by this machine's if the answer has no time; in ms since the Unix epoch.
   */
  readonly time: number;
  /**
   * The index of a document that the server refuses for itself, such as by a rule of its validator: repeating the insert
   * fails again.
   */
  readonly refused?: number;
  /** The cause, if `confirmed` is false. */
  readonly error?: unknown;
}

/**
 * A database with the three collections of the store. Connection implements it for MongoDB, and compat.ts for a server
 * that lacks some operations: these are the optional members.
 *
 * Reads see only what is on a majority of the servers, and writes are answered once they are. The change of a document
 * is atomic: of several calls that compare and set at the same time, one succeeds. Commands reject when no server
 * answers in time.
 */
export interface Database {
  /** The servers' time as last heard, in ms since the Unix epoch: comparable with the time of an Inserted. */
  readonly now: number;
  /**
   * The clock of the primary, estimated to some ms; in ms since the Unix epoch. Nodes write and compare its times, since their
   * own clocks may differ.
   */
  readonly clock: number;
  /** The most slots of a feed that one query reads. A slice is limited by bytes: bodies read beyond that are wasted. */
  readonly pageSize: number;
  /** A sentence for operators about the limits of this server. */
  readonly caveat?: string;

  /** All documents that match. */
  find<T extends Document>(name: CollectionName, filter: Filter<T>, options?: FindOptions): Promise<T[]>;
  /** The matching documents of one feed, one after the other, loaded in batches. */
  iterate<T extends Document>(name: CollectionName, filter: Filter<T>, options?: FindOptions): AsyncIterable<T>;
  /**
   * Resolves to the results of an aggregation pipeline. Without this method, callers read the documents and compute in
   * this process.
   */
  aggregate?<T extends Document>(name: CollectionName, pipeline: Document[], options: AggregateOptions): Promise<T[]>;
  /** The last numbers of feeds; those without entries are left out. Without this method, callers look up each feed. */
  lastSeqs?(feeds: readonly string[]): Promise<Map<string, number>>;

  /**
   * Inserts documents with one command. An ordered insert stops at the first document that fails, so what it stores is
   * a prefix. Never rejects: a command without an answer is not confirmed.
   */
  insert(name: CollectionName, documents: readonly object[], ordered: boolean): Promise<Inserted>;
  /** Changes one document. Resolves to how many were modified: 0 or 1. */
  updateOne<T extends Document>(
    name: CollectionName,
    filter: Filter<T>,
    change: UpdateFilter<T>,
    options?: UpdateOptions,
  ): Promise<number>;
  /** Changes all documents that match. Resolves to how many were modified. */
  updateMany<T extends Document>(name: CollectionName, filter: Filter<T>, change: UpdateFilter<T>): Promise<number>;
  /** Replaces one document. Resolves to how many were replaced: 0 or 1. */
  replaceOne<T extends Document>(name: CollectionName, filter: Filter<T>, document: WithoutId<T>): Promise<number>;
  /** Deletes all documents that match. Resolves to how many were deleted. */
  deleteMany<T extends Document>(name: CollectionName, filter: Filter<T>): Promise<number>;
  /** Creates the indexes of a collection that do not exist yet. */
  createIndexes(name: CollectionName, indexes: readonly IndexDescription[]): Promise<void>;
}
