/** The commands of MongoDB that the store sends, carried out on databases in memory. */
import { BSON } from "mongodb";
import { Collection, DuplicateKey } from "./collection.ts";
import { type Document, project, updated } from "./documents.ts";
import { grouped } from "./pipeline.ts";

type Named = Map<string, Collection>;

/** Databases, by name. */
const databases = new Map<string, Named>();

function collection(database: string, name: unknown): Collection {
  const named = databases.get(database) ?? (new Map() as Named);
  databases.set(database, named);
  const found = named.get(String(name)) ?? new Collection();
  named.set(String(name), found);
  return found;
}

const handlers: Readonly<Record<string, (command: Document, database: string) => Document>> = {
  hello,
  ismaster: hello,
  isMaster: hello,
  buildInfo: () => ({ version: "7.0.0", versionArray: [7, 0, 0, 0] }),
  ping: () => ({}),
  endSessions: () => ({}),
  killCursors: () => ({}),
  insert,
  find,
  aggregate,
  update,
  delete: remove,
  dropDatabase(_command, database) {
    databases.delete(database);
    return {};
  },
  createIndexes(command, database) {
    const into = collection(database, command.createIndexes);
    for (const { name, key, unique } of command.indexes as { name: string; key: Document; unique?: boolean }[]) {
      if (unique) into.addUnique(name, Object.keys(key));
    }
    return {};
  },
  listCollections(_command, database) {
    const names = [...(databases.get(database)?.keys() ?? [])];
    const firstBatch = names.map((name) => ({ name, type: "collection" }));
    return { cursor: { id: 0n, ns: `${database}.$cmd.listCollections`, firstBatch } };
  },
};

/** Carries out a command. Never throws: a failure is a reply, too. */
export function carryOut(command: Document): Document {
  const [name = ""] = Object.keys(command);
  const handler = handlers[name];
  try {
    if (!handler) return { ok: 0, code: 59, codeName: "CommandNotFound", errmsg: `no such command: ${name}` };
    const operationTime = new BSON.Timestamp({ t: Math.floor(Date.now() / 1000), i: 1 });
    return { ...handler(command, String(command.$db)), ok: 1, operationTime };
  } catch (error) {
    return { ok: 0, code: 2, codeName: "BadValue", errmsg: String(error) };
  }
}

/** Describes the primary of a replica set of one, which clients connect to directly. */
function hello(): Document {
  return {
    helloOk: true,
    ismaster: true,
    isWritablePrimary: true,
    localTime: new Date(),
    setName: "memory",
    setVersion: 1,
    hosts: [],
    maxBsonObjectSize: 16 * 1024 * 1024,
    maxMessageSizeBytes: 48_000_000,
    maxWriteBatchSize: 100_000,
    minWireVersion: 0,
    maxWireVersion: 21,
    readOnly: false,
  };
}

function insert(command: Document, database: string): Document {
  const into = collection(database, command.insert);
  const writeErrors: Document[] = [];
  let n = 0;
  for (const [index, document] of (command.documents as Document[]).entries()) {
    try {
      into.insert({ _id: new BSON.ObjectId().toHexString(), ...document });
      n++;
    } catch (error) {
      if (!(error instanceof DuplicateKey)) throw error;
      writeErrors.push({ index, code: 11_000, errmsg: error.message, keyPattern: error.keyPattern });
      if (command.ordered !== false) break;
    }
  }
  return { n, ...(writeErrors.length > 0 ? { writeErrors } : {}) };
}

function find(command: Document, database: string): Document {
  const { filter = {}, sort, limit, projection } = command as Record<string, Document | undefined>;
  const found = collection(database, command.find).find(filter, sort, Math.abs(Number(limit ?? 0)));
  const firstBatch = projection ? found.map((document) => project(document, projection)) : found;
  return { cursor: { id: 0n, ns: `${database}.${command.find}`, firstBatch } };
}

/** A `$match`, then one or more `$group`. */
function aggregate(command: Document, database: string): Document {
  const [{ $match } = {}, ...groups] = command.pipeline as Record<string, Document | undefined>[];
  if (!$match || groups.length === 0 || !groups.every(({ $group }) => $group))
    throw new Error("pipelines other than $match and $group are not supported");
  const matching = collection(database, command.aggregate).find($match);
  const firstBatch = groups.reduce((documents, { $group }) => grouped(documents, $group as Document), matching);
  return { cursor: { id: 0n, ns: `${database}.${command.aggregate}`, firstBatch } };
}

function update(command: Document, database: string): Document {
  const inside = collection(database, command.update);
  let [n, nModified] = [0, 0];
  const upserted: Document[] = [];
  for (const [index, step] of (command.updates as Document[]).entries()) {
    const { q, u, upsert, multi } = step as { q: Document; u: Document; upsert?: boolean; multi?: boolean };
    const found = inside.find(q, {}, multi ? 0 : 1);
    for (const document of found) inside.replace(document, updated(document, u));
    n += found.length;
    nModified += found.length;
    if (found.length > 0 || !upsert) continue;
    const equalities = Object.entries(q).filter(([, value]) => typeof value !== "object");
    inside.insert(updated(Object.fromEntries(equalities), u));
    upserted.push({ index, _id: q._id });
    n++;
  }
  return { n, nModified, ...(upserted.length > 0 ? { upserted } : {}) };
}

function remove(command: Document, database: string): Document {
  const inside = collection(database, command.delete);
  let n = 0;
  for (const { q, limit } of command.deletes as { q: Document; limit: number }[]) {
    for (const document of inside.find(q, {}, limit)) {
      inside.remove(document);
      n++;
    }
  }
  return { n };
}
