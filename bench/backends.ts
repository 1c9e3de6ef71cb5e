/** MongoDB's protocol and Redis, each a process on a free port, for nodes that share them. */
import type { BackendUrls } from "./drivers/bare-backends.ts";
import { findProgram } from "./programs.ts";

/** What the store is on. `memory`: a server of the tests that speaks the protocol and keeps nothing. */
const storeKinds = ["ferretdb", "memory"] as const;

/** One of them. */
export type StoreKind = (typeof storeKinds)[number];

/** What Redis has done so far. */
export interface RedisFigures {
  /** PUBLISH commands. */
  readonly publishes: number;
  /** Those, and scripts. */
  readonly commands: number;
  /** Times that it read from a connection: what is sent together is mostly read together. */
  readonly reads: number;
}

/** Both of them. */
export interface Backends extends AsyncDisposable {
  /** What the store's server is, for tables. */
  readonly name: string;
  readonly urls: BackendUrls;
  redis(): Promise<RedisFigures>;
}

/** Where a server is named, it is in the place of all. */
export const storesHere: readonly StoreKind[] = process.env.TIDINGS_TEST_MONGODB_URL ? ["memory"] : storeKinds;

/** Starts both; without one of them it says in a line what is left out, and why. */
export async function startBackends(kind: StoreKind): Promise<Backends | undefined> {
  if (findProgram("redis-server") === undefined) return without(kind, "redis-server");
  // Their files look for programs as they load.
  const { startStore, toolsFor } = await import("../test/faults/cluster/store-server.ts");
  const { startRedis } = await import("../test/support/redis.ts");
  if (toolsFor(kind).some(({ path }) => path === undefined)) return without(kind, "ferretdb");
  const [store, redis] = await Promise.all([startStore(kind), startRedis()]);
  return {
    name: store.name,
    urls: { store: store.url(store.port), bus: redis.url },
    async redis() {
      const text = `${await redis.call("INFO", "stats")}${await redis.call("INFO", "commandstats")}`;
      const read = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
      const publishes = read(/cmdstat_publish:calls=(\d+)/);
      const commands = publishes + read(/cmdstat_evalsha:calls=(\d+)/);
      return { publishes, commands, reads: read(/total_reads_processed:(\d+)/) };
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([redis.stop(), store.close()]);
    },
  };
}

function without(kind: StoreKind, program: string): undefined {
  console.log(`nodes: left out on ${kind === "memory" ? "a store in memory" : "FerretDB"}: ${program} is not there\n`);
}
