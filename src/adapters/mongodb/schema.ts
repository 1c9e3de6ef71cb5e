import { randomBytes } from "node:crypto";
import { type IndexDescription, MongoServerError } from "mongodb";
import type { Connection } from "./connection.ts";
import { Layout } from "./layout.ts";

/** The version of the documents that this code reads and writes. */
const schema = 1;
/** Collections for entries on a server that scans. */
const parts = 64;

/** `meta`, one document: what the store is. Not sharded. */
interface Meta {
  readonly _id: "store";
  readonly schema: number;
  /** Life of all feeds. After a restore from a backup, and before the nodes start again, it has to be raised. */
  readonly epoch: number;
  readonly secret: Uint8Array;
  /** See Layout. */
  readonly parts: number;
}

/** What a store is opened with. */
export interface Opened {
  readonly epoch: number;
  readonly secret: Uint8Array;
  readonly layout: Layout;
}

/** Those that keep the numbers right: also made where the server finds nothing by an index. */
const unique: readonly IndexDescription[] = [
  { name: "slot", key: { f: 1, s: 1 }, unique: true },
  { name: "once", key: { f: 1, c: 1 }, unique: true },
];

/** Those that questions are answered by, beside `slot` and `once`. Partial: most messages have no batch and no object. */
const helpers: readonly IndexDescription[] = [
  { name: "message", key: { m: 1, f: 1 }, partialFilterExpression: { m: { $exists: true } } },
  { name: "batch", key: { b: 1, o: -1, f: 1 }, partialFilterExpression: { b: { $exists: true } } },
  { name: "object", key: { f: 1, y: 1, i: 1, s: 1 }, partialFilterExpression: { i: { $exists: true } } },
  { name: "actor", key: { f: 1, a: 1, s: 1 }, partialFilterExpression: { a: { $exists: true } } },
  { name: "expire", key: { x: 1 }, partialFilterExpression: { x: { $exists: true } } },
  { name: "age", key: { p: 1, s: 1 }, partialFilterExpression: { p: { $exists: true } } },
];

/** Indexes of the collections of entries. Every other collection is asked by `_id` alone. */
export const indexes: readonly IndexDescription[] = [...unique, ...helpers];

/**
 * Makes what is missing, at once from any number of nodes: the first one's epoch and secret are everyone's. Throws for a
 * database of a newer version.
 */
export async function openSchema(connection: Connection): Promise<Opened> {
  const metas = connection.collection<Meta>("meta");
  const fresh: Meta = {
    _id: "store",
    schema,
    epoch: Math.floor(Date.now() / 1000),
    secret: randomBytes(32),
    parts: connection.topology.scans ? parts : 0,
  };
  if (!(await metas.findOne({ _id: "store" }))) {
    await metas.insertOne(fresh).catch((error: unknown) => {
      if (!(error instanceof MongoServerError && error.code === 11_000)) throw error;
    });
  }
  // From a majority: what another node has made and could still lose must not be used.
  const meta = await metas.findOne({ _id: "store" });
  if (!meta) throw new Error("the database's description is not yet on a majority of its servers; start again");
  if (meta.schema > schema) {
    throw new Error(`the database was written by a newer version (schema ${meta.schema}); upgrade first`);
  }
  const layout = new Layout(meta.parts);
  const collections = new Set([...layout.all, layout.claims]);
  if (layout.scans) connection.indexOnInsert(unique, (name) => collections.has(name));
  else for (const name of collections) await connection.makeIndexes(name, indexes);
  return { epoch: meta.epoch, secret: Uint8Array.from(meta.secret), layout };
}
