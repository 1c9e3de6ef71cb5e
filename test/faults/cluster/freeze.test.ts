import { expect } from "vitest";
import { testWith } from "../../support/require.ts";
import { report } from "../report.ts";
import { size, times } from "../size.ts";
import { clusterTools } from "./cluster.ts";
import { errorsIn } from "./log-errors.ts";
import { figuresOf, type LoadedCluster, runClusters } from "./parallel-clusters.ts";

const pauses = times(2, 50);
const [minMs, maxMs] = size([2_000, 4_000], [5_000, 60_000]);

/** Pauses a node with appends in flight, whose callers retry on other nodes before it resumes and completes them. */
async function pauseNode({ cluster, load, random }: LoadedCluster): Promise<void> {
  const resume = random.pick(cluster.nodes).freeze();
  try {
    await load.publishers.during(random.between(minMs, maxMs));
  } finally {
    resume();
  }
}

testWith(...clusterTools("memory"))(
  `Three nodes, of which one is paused ${pauses} times for ${minMs / 1000} to ${maxMs / 1000} s under load, lose and repeat no answered message`,
  async () => {
    const outcomes = await runClusters(
      {
        store: () => "memory",
        load: size({ users: 20, pages: 3, perSecond: 50 }, { users: 30, pages: 3, perSecond: 50, callers: 24 }),
        clusters: size(1, 4),
        faults: Array(pauses).fill(undefined),
      },
      pauseNode,
    );
    report("freeze", { "nodes paused": pauses, ...figuresOf(outcomes) });
    expect.soft(outcomes.flatMap(({ findings }) => findings).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ clientErrors }) => clientErrors).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ cluster }) => errorsIn(cluster.log)).slice(0, 5)).toEqual([]);
  },
);
