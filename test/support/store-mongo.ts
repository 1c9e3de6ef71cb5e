import { randomBytes } from "node:crypto";
import { MongoClient } from "mongodb";
import { type MongoOptions, MongoStore } from "../../src/adapters/mongodb/store.ts";
import type { OpenedStore } from "../../src/testing/store-bench.ts";
import { Ferret, ferretdb } from "./ferretdb.ts";
import { MemoryMongo } from "./memory-mongo/process.ts";
import { pathOf, type Tool } from "./tools.ts";

/** A server for tests: what TIDINGS_TEST_MONGODB_URL names, or a FerretDB of the test's own. */
export interface MongoBench {
  /** The address of a database that nobody has used. */
  url(): string;
  /** Only where the server is the test's own: it can be stopped. */
  readonly ferret?: Ferret;
  /** Drops the databases, and ends the server where it is the test's own. */
  close(): Promise<void>;
}

/** A server of MongoDB's protocol: the one that TIDINGS_TEST_MONGODB_URL names, or a FerretDB. */
export const anyMongo: Tool = process.env.TIDINGS_TEST_MONGODB_URL
  ? { name: "MongoDB", hint: "TIDINGS_TEST_MONGODB_URL", path: process.env.TIDINGS_TEST_MONGODB_URL }
  : ferretdb;

/** Makes a bench; `own`: a server of the test's own even where one is named, or nothing. */
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

/** A bench on a server in memory, which finds documents as one with indexes does. */
export async function openMemoryBench(): Promise<MongoBench> {
  const memory = await MemoryMongo.start();
  return { url: () => memory.url(`tidings-${randomBytes(6).toString("hex")}`), close: () => memory.stop() };
}

/** Every kind of server that there is here. */
export const benches: readonly { readonly name: string; readonly open: () => Promise<MongoBench> }[] = [
  ...(anyMongo.path ? [{ name: "a server", open: openBench }] : []),
  { name: "a server in memory", open: openMemoryBench },
];

/** Opens a store on a database of its own, or on the one named. */
export async function openMongo(
  bench: MongoBench,
  keep = 10_000,
  url = bench.url(),
  options: Partial<MongoOptions> = {},
): Promise<OpenedStore> {
  // A server that scans, on a machine that does other things as well, takes its time.
  const patient = { timeoutMs: 15_000, ...options };
  let current = new MongoStore({ url, keep, ...patient });
  const opened = async (): Promise<OpenedStore> => ({
    info: await current.open(),
    store: current,
    async reopen() {
      await current.close();
      current = new MongoStore({ url, keep, ...patient });
      return opened();
    },
    close: () => current.close(),
  });
  return opened();
}
