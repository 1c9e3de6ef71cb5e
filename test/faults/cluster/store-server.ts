/** The server that the nodes of a run keep their store on. */
import { randomBytes } from "node:crypto";
import { MongoClient } from "mongodb";
import { Ferret, ferretdb } from "../../support/ferretdb.ts";
import { MemoryMongo } from "../../support/memory-mongo/process.ts";
import { pathOf, type Tool } from "../../support/tools.ts";

/**
 * `ferretdb`: a server that speaks MongoDB's protocol and keeps its data, but finds them by scanning. `memory`: our own,
 * which keeps up with the load of a run and looks like a replica set to the nodes. With TIDINGS_TEST_MONGODB_URL both
 * are the server named there, reached directly.
 */
export type StoreKind = "ferretdb" | "memory";

/** A server that runs. */
export interface StoreServer {
  /** What it is, for tables. */
  readonly name: string;
  readonly port: number;
  /** The address of the run's database through another port on this machine. */
  url(port: number): string;
  close(): Promise<void>;
}

const named = process.env.TIDINGS_TEST_MONGODB_URL;

/** The tools that a store of this kind needs. */
export function toolsFor(kind: StoreKind): readonly Tool[] {
  return kind === "memory" || named ? [] : [ferretdb];
}

/** Starts one, or takes the one that is named. */
export async function startStore(kind: StoreKind): Promise<StoreServer> {
  const database = `tidings-${randomBytes(6).toString("hex")}`;
  if (named) return takeNamed(new URL(named), database);
  if (kind === "memory") {
    const memory = await MemoryMongo.start();
    const url = (port: number) => `mongodb://127.0.0.1:${port}/${database}?directConnection=true`;
    return { name: "a test server in memory", port: memory.port, url, close: () => memory.stop() };
  }
  const ferret = await Ferret.start(pathOf(ferretdb));
  const url = (port: number) => Ferret.url(port, database);
  return { name: "FerretDB 1.24 on SQLite", port: ferret.port, url, close: () => ferret.remove() };
}

/** The proxies lead to this machine only. */
function takeNamed(address: URL, database: string): StoreServer {
  const at = (port: string) => {
    const url = Object.assign(new URL(address), { port, pathname: `/${database}` });
    url.searchParams.set("directConnection", "true");
    return url.href;
  };
  const port = address.port || "27017";
  return {
    name: "a server that was named",
    port: Number(port),
    url: (through) => at(String(through)),
    async close() {
      const client = new MongoClient(at(port));
      await client.db(database).dropDatabase();
      await client.close();
    },
  };
}
