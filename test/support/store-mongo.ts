import { randomBytes } from "node:crypto";
import { MongoClient } from "mongodb";
import { type MongoOptions, MongoStore } from "../../src/adapters/mongodb/store.ts";
import type { OpenedStore } from "../../src/testing/store-bench.ts";
import { Ferret, ferretdb } from "./ferretdb.ts";
import { MemoryMongo } from "./memory-mongo/process.ts";
import { pathOf, type Tool } from "./tools.ts";

/** A server for tests: the one that TIDINGS_TEST_MONGODB_URL names, or one that the test has started. */
export interface MongoBench {
  /** The URL of a new database. */
  url(): string;
  /** Where the test has started a FerretDB, which it may stop. */
  readonly ferret?: Ferret;
  /** Drops the databases, and stops a server that the test has started. */
  close(): Promise<void>;
}

/** A server of MongoDB's protocol: the one that TIDINGS_TEST_MONGODB_URL names, or a FerretDB. */
export const anyMongo: Tool = process.env.TIDINGS_TEST_MONGODB_URL
  ? { name: "MongoDB", hint: "TIDINGS_TEST_MONGODB_URL", path: process.env.TIDINGS_TEST_MONGODB_URL }
  : ferretdb;

/** Opens a bench on the named server, or on a FerretDB. `own`: always on a FerretDB. Throws if there is none. */
export async function openBench(own = false): Promise<MongoBench> {
  const named = process.env.TIDINGS_TEST_MONGODB_URL;
  const databases = new Set<string>();
  const name = () => {
    const database = `tidings-${randomBytes(6).toString("hex")}`;
    databases.add(database);
    return database;
  };
  if (named && !own) {
    const at = (database: string) => Object.assign(new URL(named), { pathname: `/${database}` }).href;
    return {
      url: () => at(name()),
      async close() {
        const client = new MongoClient(named);
        for (const database of databases) await client.db(database).dropDatabase();
        await client.close();
      },
    };
  }
  const ferret = await Ferret.start(pathOf(ferretdb));
  return { ferret, url: () => ferret.url(name()), close: () => ferret.remove() };
}

/** Opens a bench on the server in memory, which the store takes for a MongoDB. */
export async function openMemoryBench(): Promise<MongoBench> {
  const memory = await MemoryMongo.start();
  return { url: () => memory.url(`tidings-${randomBytes(6).toString("hex")}`), close: () => memory.stop() };
}

/** The servers that this machine has, by name. */
export const benches: readonly { readonly name: string; readonly open: () => Promise<MongoBench> }[] = [
  ...(anyMongo.path ? [{ name: "a real server", open: openBench }] : []),
  { name: "the server in memory", open: openMemoryBench },
];

/** Opens a store on a new database, or on that of `url`. */
export async function openMongo(
  bench: MongoBench,
  keep = 10_000,
  url = bench.url(),
  options: Partial<MongoOptions> = {},
): Promise<OpenedStore> {
  // A server that scans is slow on a busy machine.
  const slowly = { timeoutMs: 15_000, recountMs: 300, ...options };
  let current = new MongoStore({ url, keep, ...slowly });
  const opened = async (): Promise<OpenedStore> => ({
    info: await current.open(),
    store: current,
    async reopen() {
      await current.close();
      current = new MongoStore({ url, keep, ...slowly });
      return opened();
    },
    close: () => current.close(),
  });
  return opened();
}
