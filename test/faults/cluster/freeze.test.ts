import { expect, test } from "vitest";
import { table } from "../figures.ts";
import { Dice, size } from "../size.ts";
import { Cluster, canRun } from "./cluster.ts";
import { Load } from "./load.ts";
import { errorsIn } from "./log.ts";

const freezes = size(2, 50);
const [leastMs, mostMs] = size([2_000, 4_000], [5_000, 60_000]);

test.skipIf(!canRun("memory"))(
  `${freezes} times a node of three stands still for ${leastMs / 1000} to ${mostMs / 1000} s under load, then goes on`,
  async () => {
    const dice = new Dice();
    const cluster = await Cluster.open({ store: "memory" });
    let load: Load | undefined;
    try {
      load = await Load.start(
        cluster,
        size({ users: 20, pages: 3, perSecond: 50 }, { users: 50, pages: 3, perSecond: 100 }),
      );
      for (let done = 0; done < freezes; done++) {
        await load.publishers.during(dice.between(500, 2_000));
        // With appends on their way, whose callers go elsewhere before it comes back to them.
        const thaw = dice.pick(cluster.members).freeze();
        try {
          await load.publishers.during(dice.between(leastMs, mostMs));
        } finally {
          thaw();
        }
      }
      const { findings, upsets, figures } = await load.settle();
      console.log(table({ "nodes frozen": freezes, ...figures }));
      expect.soft(findings.slice(0, 20)).toEqual([]);
      expect.soft(upsets.slice(0, 20)).toEqual([]);
      expect.soft(errorsIn(cluster.log).slice(0, 5)).toEqual([]);
    } finally {
      load?.close();
      await cluster.close();
    }
  },
);
