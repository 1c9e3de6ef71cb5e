import { expect } from "vitest";
import { testWith } from "../../support/require.ts";
import { report } from "../report.ts";
import { Dice, size, times } from "../size.ts";
import { Cluster, clusterTools } from "./cluster.ts";
import { Load, type LoadOptions } from "./load.ts";
import { errorsIn } from "./log.ts";

const kills = times(12, 200);
/** Between a node's return and the next kill, in ms: from and to. On two cores a start takes the load's place for 2 s. */
const [least, most] = size<[number, number]>([100, 1_000], [3_000, 6_000]);
/** Of the kills: two nodes at once, and a node that has hardly started. */
const doubleShare = 0.1;
const startingShare = 0.1;
/** 500 pages that all receive one publish in five hundred, so that what is measured is not how fast one machine writes. */
const longLoad: LoadOptions = { users: 100, pages: 5, perSecond: 500, callers: 24, shareForAll: 0.002 };

testWith(...clusterTools("memory"))(`${kills} times a node of three is killed under load`, async () => {
  const dice = new Dice();
  const cluster = await Cluster.open({ store: "memory" });
  let load: Load | undefined;
  let starting = 0;
  try {
    load = await Load.start(cluster, size<LoadOptions>({ users: 20, pages: 3, perSecond: 100 }, longLoad));
    for (let done = 0; done < kills; done++) {
      await load.publishers.during(dice.between(least, most));
      const first = dice.pick(cluster.members);
      const also =
        dice.fraction() < doubleShare ? cluster.members.filter((member) => member !== first).slice(0, 1) : [];
      const victims = [first, ...also];
      await Promise.all(victims.map((victim) => victim.kill()));
      done += also.length;
      await load.publishers.during(dice.between(0, 500));
      const restarts = victims.map((victim) => victim.restart());
      if (dice.fraction() < startingShare) {
        restarts[0]?.catch(() => {});
        await load.publishers.during(dice.between(0, 500));
        await first.kill();
        starting++;
        restarts[0] = first.restart();
      }
      await Promise.all(restarts);
      if ((done + 1) % 20 === 0) console.log(`${done + 1} of ${kills} kills`);
    }
    const { findings, upsets, figures } = await load.settle();
    report("kill-nodes", { "nodes killed": kills, "killed while starting": starting, ...figures });
    expect.soft(findings.slice(0, 20)).toEqual([]);
    expect.soft(upsets.slice(0, 20)).toEqual([]);
    expect.soft(errorsIn(cluster.log).slice(0, 5)).toEqual([]);
  } finally {
    load?.close();
    await cluster.close();
  }
});
