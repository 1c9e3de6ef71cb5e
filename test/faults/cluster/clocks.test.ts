import { expect } from "vitest";
import { testWith } from "../../support/require.ts";
import { faketime } from "../../support/wrong-clock.ts";
import { report } from "../report.ts";
import { size, times } from "../size.ts";
import { clusterTools } from "./cluster.ts";
import { errorsIn } from "./log-errors.ts";
import { figuresOf, type LoadedCluster, runClusters } from "./parallel-clusters.ts";

const sets = times(6, 100);
const losses = times(6, 100);
/** Shorter than the life of the clients' tokens, which nodes check by their own clocks. */
const maxAheadSeconds = 3_600;

type Fault = (cluster: LoadedCluster) => Promise<void>;

/** Sets the clock of a node ahead, or right again. */
const setClock: Fault = async ({ cluster, random }) => {
  const seconds = random.fraction() < 0.3 ? 0 : random.between(60, maxAheadSeconds);
  random.pick(cluster.nodes).clock?.set(seconds);
};

/** Removes a key of Redis, as eviction does. */
const loseKey: Fault = async ({ cluster: { redis }, random }) => {
  const keys = (await redis.call("KEYS", "*")) as string[];
  if (keys.length > 0) await redis.call("DEL", random.pick(keys.sort()));
};

testWith(...clusterTools("memory"), faketime)(
  `Three nodes whose clocks are set ${sets} times, by up to an hour, while Redis loses ${losses} keys, lose and repeat no answered message`,
  async () => {
    const outcomes = await runClusters<Fault>(
      {
        store: () => "memory",
        load: size({ users: 20, pages: 3, perSecond: 50 }, { users: 30, pages: 3, perSecond: 50, callers: 24 }),
        clusters: size(1, 4),
        faults: [...Array<Fault>(sets).fill(setClock), ...Array<Fault>(losses).fill(loseKey)],
        wrongClocks: true,
      },
      (loaded, fault) => fault(loaded),
    );
    report("clocks", { "clocks set": sets, "keys of Redis lost": losses, ...figuresOf(outcomes) });
    // Neither is a reason to end a stream.
    expect.soft(outcomes.flatMap(({ breaks }) => breaks).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ findings }) => findings).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ clientErrors }) => clientErrors).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ cluster }) => errorsIn(cluster.log)).slice(0, 5)).toEqual([]);
  },
);
