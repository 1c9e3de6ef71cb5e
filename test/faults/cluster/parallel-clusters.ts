/** Runs on several clusters in parallel: most faults only wait, so they need not wait for one another. */
import { type Figures, sumOf } from "../figures.ts";
import { SeededRandom } from "../random.ts";
import { Cluster } from "./cluster.ts";
import { Load, type LoadOptions, type Outcome } from "./load.ts";
import type { StoreKind } from "./store-server.ts";

/** The clusters of a run, and the faults to inject. */
export interface Plan<F> {
  /** The store of each cluster, by its number from 0. */
  readonly store: (cluster: number) => StoreKind;
  /** The load of each cluster. */
  readonly load: LoadOptions;
  /** The number of clusters, over which the faults are spread. */
  readonly clusters: number;
  readonly faults: readonly F[];
  /** See ClusterOptions. */
  readonly wrongClocks?: boolean;
}

/** A cluster under load. */
export interface LoadedCluster {
  readonly cluster: Cluster;
  readonly load: Load;
  readonly random: SeededRandom;
}

/** The result of one cluster. */
export interface ClusterOutcome extends Outcome, LoadedCluster {
  /** Why streams of its pages ended before the last fault was over. */
  readonly breaks: readonly string[];
}

/** Injects the faults of a plan, in each cluster one after the other and in random order, and checks the histories. */
export async function runClusters<F>(
  { store, load, clusters, faults, wrongClocks = false }: Plan<F>,
  inject: (cluster: LoadedCluster, fault: F) => Promise<void>,
): Promise<ClusterOutcome[]> {
  let done = 0;
  const run = async (number: number): Promise<ClusterOutcome> => {
    const random = new SeededRandom(number);
    const own = faults.filter((_, index) => index % clusters === number);
    const cluster = await Cluster.open({ store: store(number), wrongClocks });
    let running: Load | undefined;
    try {
      running = await Load.start(cluster, load);
      const loaded = { cluster, load: running, random };
      while (own.length > 0) {
        await running.publishers.during(random.between(500, 2_000));
        const [fault] = own.splice(Math.floor(random.fraction() * own.length), 1);
        await inject(loaded, fault as F);
        done++;
        if (done % 10 === 0) console.log(`${done} of ${faults.length} faults`);
      }
      const breaks = running.subscribers.flatMap((subscriber) => subscriber.breaks);
      return { ...loaded, breaks, ...(await running.settle()) };
    } finally {
      running?.close();
      await cluster.close();
    }
  };
  const settled = await Promise.allSettled(Array.from({ length: clusters }, (_, number) => run(number)));
  return settled.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}

/** The figures of all clusters together. */
export function figuresOf(outcomes: readonly ClusterOutcome[]): Figures {
  return { "clusters in parallel": outcomes.length, ...sumOf(outcomes.map(({ figures }) => figures)) };
}
