import { randomBytes } from "node:crypto";
import { type Document, type IndexDescription, MongoServerError } from "mongodb";
import { databaseOn, partsFor } from "./compat.ts";
import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";

/** The version of the documents that this code reads and writes. */
const schema = 1;

/** The one document of `meta`, which describes the store. Not sharded. */
interface Meta {
  readonly _id: "store";
  readonly schema: number;
  /** Epoch of all feeds. It has to be raised after a restore from a backup, before the nodes start again. */
  readonly epoch: number;
  readonly secret: Uint8Array;
  /** Collections of entries on a server that scans, which cannot change later: see compat.ts. 0 on MongoDB. */
  readonly parts: number;
}

/** What `meta` says of the store, and the database to use it by. */
export interface OpenedSchema {
  readonly database: Database;
  readonly epoch: number;
  readonly secret: Uint8Array;
}

/** These keep numbers and deduplication keys unique. */
const unique: readonly IndexDescription[] = [
  { name: "slot", key: { f: 1, s: 1 }, unique: true },
  { name: "once", key: { f: 1, c: 1 }, unique: true },
];

/** Queries use these beside the unique ones. They are partial, because most messages have no batch and no object. */
const secondary: readonly IndexDescription[] = [
  { name: "message", key: { m: 1, f: 1 }, partialFilterExpression: { m: { $exists: true } } },
  { name: "batch", key: { b: 1, o: -1, f: 1 }, partialFilterExpression: { b: { $exists: true } } },
  { name: "object", key: { f: 1, y: 1, i: 1, s: 1 }, partialFilterExpression: { i: { $exists: true } } },
  { name: "actor", key: { f: 1, a: 1, s: 1 }, partialFilterExpression: { a: { $exists: true } } },
  { name: "expire", key: { x: 1 }, partialFilterExpression: { x: { $exists: true } } },
  { name: "age", key: { p: 1, s: 1 }, partialFilterExpression: { p: { $exists: true } } },
];

/** Indexes of `entries`. Documents of the other collections are found by `_id` alone. */
export const indexes: readonly IndexDescription[] = [...unique, ...secondary];

/**
 * Creates what is missing. Any number of nodes may do so at once: all get the epoch and the secret of the first.
 * `build` is the server's answer to `buildInfo`. Throws for a database of a newer version, or of another kind of
 * server.
 */
export async function openSchema(connection: Connection, build: Document): Promise<OpenedSchema> {
  const metas = connection.collection<Meta>("meta");
  if (!(await metas.findOne({ _id: "store" }))) {
    const epoch = Math.floor(Date.now() / 1000);
    const fresh: Meta = { _id: "store", schema, epoch, secret: randomBytes(32), parts: partsFor(build) };
    await metas.insertOne(fresh).catch((error: unknown) => {
      if (!(error instanceof MongoServerError && error.code === 11_000)) throw error;
    });
  }
  // Read again, from a majority: a document that another node has inserted could still be rolled back.
  const meta = await metas.findOne({ _id: "store" });
  if (!meta) throw new Error("the database's description is not yet on a majority of its servers; start again");
  if (meta.schema > schema) {
    throw new Error(`the database was written by a newer version (schema ${meta.schema}); upgrade first`);
  }
  const database = databaseOn(connection, build, meta.parts);
  await database.createIndexes("entries", indexes);
  return { database, epoch: meta.epoch, secret: Uint8Array.from(meta.secret) };
}
