/** The store on MongoDB: `import { mongoStore } from "tidings/mongodb"`. Needs the package mongodb. */
import type { CommitListener, Store } from "../../ports/store.ts";
import { MongoStore } from "./store.ts";

/** Options of mongoStore. */
export interface MongoStoreOptions {
  /** A `mongodb://` or `mongodb+srv://` URL with the name of a database, such as `mongodb://db1,db2/tidings?replicaSet=rs0`. */
  readonly url: string;
  /** Messages kept per feed; the oldest are deleted first. Default 10,000. */
  readonly keep?: number;
  /** Called with a sentence about what the deployment lacks, such as a replica set. Default: not reported. */
  readonly warn?: (sentence: string) => void;
  /** Called after every insert that a majority of the replica set has. */
  readonly committed?: CommitListener;
}

/** Creates a store on MongoDB; it connects when it is opened. Throws when the URL is malformed. */
export function mongoStore({ keep = 10_000, ...options }: MongoStoreOptions): Store {
  return new MongoStore({ keep, ...options });
}
