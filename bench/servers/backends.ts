/** A store with MongoDB's protocol and Redis, which several nodes share. Each is a process on a free port. */
import type { BackendUrls } from "../drivers/process/bare-backends.ts";
import { findProgram } from "./program.ts";

/** Servers for the store. `memory` is a server of the tests that speaks MongoDB's protocol and stores nothing on disk. */
const storeKinds = ["ferretdb", "memory"] as const;

/** The server behind a store. */
export type StoreKind = (typeof storeKinds)[number];

/** Counters of Redis since its start. */
export interface RedisFigures {
  /** PUBLISH commands. */
  readonly publishes: number;
  /** PUBLISH commands and scripts. */
  readonly commands: number;
  /** Reads from a connection. Commands that a client writes together are mostly read together. */
  readonly reads: number;
}

/** A running store and a running Redis. */
export interface Backends extends AsyncDisposable {
  /** The name of the store's server, for tables. */
  readonly name: string;
  readonly urls: BackendUrls;
  redis(): Promise<RedisFigures>;
}

/** The stores to measure. A server named by TIDINGS_TEST_MONGODB_URL replaces all of them. */
export const storeKindsHere: readonly StoreKind[] = process.env.TIDINGS_TEST_MONGODB_URL ? ["memory"] : storeKinds;

/** Starts both servers. When a program is missing, prints which part is skipped and resolves with undefined. */
export async function startBackends(kind: StoreKind): Promise<Backends | undefined> {
  if (findProgram("redis-server") === undefined) return skip(kind, "redis-server");
  // Imported here, because these files search for programs when they load.
  const { startStore, toolsFor } = await import("../../test/faults/cluster/store-server.ts");
  const { startRedis } = await import("../../test/support/redis.ts");
  if (toolsFor(kind).some(({ path }) => path === undefined)) return skip(kind, "ferretdb");
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

function skip(kind: StoreKind, program: string): undefined {
  console.log(`nodes: skipped on ${kind === "memory" ? "a store in memory" : "FerretDB"}: ${program} was not found\n`);
}
