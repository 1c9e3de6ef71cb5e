/** Runs on several clusters at once: faults that are mostly waiting need not wait for one another. */
import { type Figures, sumOf } from "../figures.ts";
import { Dice } from "../size.ts";
import { Cluster } from "./cluster.ts";
import { Load, type LoadOptions, type Outcome } from "./load.ts";
import type { StoreKind } from "./store-server.ts";

/** What is done, and where. */
export interface Plan<F> {
  /** Of each cluster, by its number from 0. */
  readonly store: (cluster: number) => StoreKind;
  /** Of each cluster. */
  readonly load: LoadOptions;
  /** So many clusters share the faults. */
  readonly clusters: number;
  readonly faults: readonly F[];
}

/** One cluster under load. */
export interface Lane {
  readonly cluster: Cluster;
  readonly load: Load;
  readonly dice: Dice;
}

/** What came of one cluster. */
export interface LaneOutcome extends Outcome, Lane {
  /** Why streams of its pages ended before the last fault was over. */
  readonly breaks: readonly string[];
}

/** Carries out the faults of a plan, each cluster its part of them one after the other and in any order, and checks. */
export async function runLanes<F>(
  { store, load, clusters, faults }: Plan<F>,
  inject: (lane: Lane, fault: F) => Promise<void>,
): Promise<LaneOutcome[]> {
  let done = 0;
  const run = async (number: number): Promise<LaneOutcome> => {
    const dice = new Dice(number);
    const own = faults.filter((_, index) => index % clusters === number);
    const cluster = await Cluster.open({ store: store(number) });
    let under: Load | undefined;
    try {
      under = await Load.start(cluster, load);
      const lane = { cluster, load: under, dice };
      while (own.length > 0) {
        await under.publishers.during(dice.between(500, 2_000));
        const [fault] = own.splice(Math.floor(dice.fraction() * own.length), 1);
        await inject(lane, fault as F);
        done++;
        if (done % 10 === 0) console.log(`${done} of ${faults.length} faults`);
      }
      const breaks = under.subscribers.flatMap((subscriber) => subscriber.breaks);
      return { ...lane, breaks, ...(await under.settle()) };
    } finally {
      under?.close();
      await cluster.close();
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: clusters }, (_, number) => run(number)));
  return ended.map((end) => {
    if (end.status === "rejected") throw end.reason;
    return end.value;
  });
}

/** The figures of all clusters together. */
export function figuresOf(outcomes: readonly LaneOutcome[]): Figures {
  return { "clusters at once": outcomes.length, ...sumOf(outcomes.map(({ figures }) => figures)) };
}
