import { expect } from "vitest";
import { testWith } from "../../support/require.ts";
import { report } from "../report.ts";
import { size, times } from "../size.ts";
import { clusterTools } from "./cluster.ts";
import { figuresOf, type Lane, runLanes } from "./lanes.ts";
import { errorsIn } from "./log.ts";

const freezes = times(2, 50);
const [leastMs, mostMs] = size([2_000, 4_000], [5_000, 60_000]);

/** A node stands still, with appends on their way, whose callers go elsewhere before it comes back to them. */
async function freeze({ cluster, load, dice }: Lane): Promise<void> {
  const thaw = dice.pick(cluster.members).freeze();
  try {
    await load.publishers.during(dice.between(leastMs, mostMs));
  } finally {
    thaw();
  }
}

testWith(...clusterTools("memory"))(
  `${freezes} times a node of three stands still for ${leastMs / 1000} to ${mostMs / 1000} s under load, then goes on`,
  async () => {
    const outcomes = await runLanes(
      {
        store: () => "memory",
        load: size({ users: 20, pages: 3, perSecond: 50 }, { users: 30, pages: 3, perSecond: 50, callers: 24 }),
        clusters: size(1, 4),
        faults: Array(freezes).fill(undefined),
      },
      freeze,
    );
    report("freeze", { "nodes frozen": freezes, ...figuresOf(outcomes) });
    expect.soft(outcomes.flatMap(({ findings }) => findings).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ upsets }) => upsets).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ cluster }) => errorsIn(cluster.log)).slice(0, 5)).toEqual([]);
  },
);
