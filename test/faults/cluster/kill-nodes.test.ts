import { expect } from "vitest";
import { testWith } from "../../support/require.ts";
import { SeededRandom } from "../random.ts";
import { report } from "../report.ts";
import { size, times } from "../size.ts";
import { Cluster, clusterTools } from "./cluster.ts";
import { Load, type LoadOptions } from "./load.ts";
import { errorsIn } from "./log-errors.ts";

const kills = times(12, 200);
/** The time between a restart and the next kill, in ms. On two cores a start slows the load down for 2 s. */
const [minMs, maxMs] = size<[number, number]>([100, 1_000], [3_000, 6_000]);
/** The share of kills of two nodes at the same time. */
const doubleShare = 0.1;
/** The share of nodes that are also killed while they start. */
const startingShare = 0.1;
/** Only one message in 500 goes to all 500 pages: otherwise the run would measure how fast one machine writes. */
const longLoad: LoadOptions = { users: 100, pages: 5, perSecond: 500, callers: 24, shareForAll: 0.002 };

testWith(...clusterTools("memory"))(
  `Three nodes, of which one or two are killed ${kills} times under load, lose and repeat no answered message`,
  async () => {
    const random = new SeededRandom();
    const cluster = await Cluster.open({ store: "memory" });
    let load: Load | undefined;
    let starting = 0;
    try {
      load = await Load.start(cluster, size<LoadOptions>({ users: 20, pages: 3, perSecond: 100 }, longLoad));
      for (let done = 0; done < kills; done++) {
        await load.publishers.during(random.between(minMs, maxMs));
        const first = random.pick(cluster.nodes);
        const second =
          random.fraction() < doubleShare ? cluster.nodes.filter((node) => node !== first).slice(0, 1) : [];
        const killed = [first, ...second];
        await Promise.all(killed.map((node) => node.kill()));
        done += second.length;
        await load.publishers.during(random.between(0, 500));
        const restarts = killed.map((node) => node.restart());
        if (random.fraction() < startingShare) {
          restarts[0]?.catch(() => {});
          await load.publishers.during(random.between(0, 500));
          await first.kill();
          starting++;
          restarts[0] = first.restart();
        }
        await Promise.all(restarts);
        if ((done + 1) % 20 === 0) console.log(`${done + 1} of ${kills} kills`);
      }
      const { findings, clientErrors, figures } = await load.settle();
      report("kill-nodes", { "nodes killed": kills, "killed while starting": starting, ...figures });
      expect.soft(findings.slice(0, 20)).toEqual([]);
      expect.soft(clientErrors.slice(0, 20)).toEqual([]);
      expect.soft(errorsIn(cluster.log).slice(0, 5)).toEqual([]);
    } finally {
      load?.close();
      await cluster.close();
    }
  },
);
