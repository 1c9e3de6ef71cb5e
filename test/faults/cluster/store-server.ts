/** The server of the store that the nodes of a run share. */
import { randomBytes } from "node:crypto";
import { MongoClient } from "mongodb";
import { Ferret, ferretdb } from "../../support/ferretdb.ts";
import { MemoryMongo } from "../../support/memory-mongo/process.ts";
import { pathOf, type Tool } from "../../support/tools.ts";

/**
 * `ferretdb` speaks MongoDB's protocol and stores its data on disk, but finds documents by scanning. `memory` is a server of
 * these tests, which is fast enough for the load of a run and looks like a replica set to the nodes. When
 * TIDINGS_TEST_MONGODB_URL names a server, that one is used for both, through a direct connection.
 */
export type StoreKind = "ferretdb" | "memory";

/** A running server. */
export interface StoreServer {
  /** Its name, for tables. */
  readonly name: string;
  readonly port: number;
  /** The URL of the run's database through a port of this machine. */
  url(port: number): string;
  close(): Promise<void>;
}

const named = process.env.TIDINGS_TEST_MONGODB_URL;

/** The tools that a store of this kind needs. */
export function toolsFor(kind: StoreKind): readonly Tool[] {
  return kind === "memory" || named ? [] : [ferretdb];
}

/** Starts a server, or uses the one that TIDINGS_TEST_MONGODB_URL names. */
export async function startStore(kind: StoreKind): Promise<StoreServer> {
  const database = `tidings-${randomBytes(6).toString("hex")}`;
  if (named) return useNamed(new URL(named), database);
  if (kind === "memory") {
    const memory = await MemoryMongo.start();
    const url = (port: number) => `mongodb://127.0.0.1:${port}/${database}?directConnection=true`;
    return { name: "a test server in memory", port: memory.port, url, close: () => memory.stop() };
  }
  const ferret = await Ferret.start(pathOf(ferretdb));
  const url = (port: number) => Ferret.url(port, database);
  return { name: "FerretDB 1.24 on SQLite", port: ferret.port, url, close: () => ferret.remove() };
}

/** The server must be on this machine: the proxies of a cluster lead nowhere else. */
function useNamed(address: URL, database: string): StoreServer {
  const at = (port: string) => {
    const url = Object.assign(new URL(address), { port, pathname: `/${database}` });
    url.searchParams.set("directConnection", "true");
    return url.href;
  };
  const port = address.port || "27017";
  return {
    name: "the server of TIDINGS_TEST_MONGODB_URL",
    port: Number(port),
    url: (through) => at(String(through)),
    async close() {
      const client = new MongoClient(at(port));
      await client.db(database).dropDatabase();
      await client.close();
    },
  };
}
