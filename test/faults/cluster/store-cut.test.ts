import { expect, test } from "vitest";
import { percentile, table } from "../figures.ts";
import { Dice, size } from "../size.ts";
import { Cluster, canRun } from "./cluster.ts";
import type { Period } from "./deliveries.ts";
import { Load } from "./load.ts";
import { errorsIn } from "./log.ts";

const cuts = size(2, 20);
const cutMs = size(4_000, 60_000);
/** The store is given two seconds, a batch a little more; the rest is the way to the publisher and back, on a busy machine. */
const failWithinMs = 2_500;
const recoverWithinMs = 5_000;

test.skipIf(!canRun("ferretdb"))(`the store is cut off ${cuts} times for ${cutMs / 1000} s under load`, async () => {
  const dice = new Dice();
  const cluster = await Cluster.open({ store: "ferretdb" });
  let load: Load | undefined;
  try {
    load = await Load.start(cluster, { users: 5, pages: 3, perSecond: 10, callers: 6 });
    const { publishers } = load;
    const down: Period[] = [];
    const recoveries: number[] = [];
    for (let done = 0; done < cuts; done++) {
      await publishers.during(dice.between(1_000, 3_000));
      const from = performance.now();
      // Broken and refused, or no answer at all.
      const isSilent = done % 2 === 1;
      for (const { storeCable } of cluster.members) isSilent ? storeCable.blackHole() : storeCable.cut();
      await publishers.during(cutMs);
      const to = performance.now();
      for (const { storeCable } of cluster.members) storeCable.heal();
      down.push({ from, to });
      await publishers.answered(publishers.answers.length + 1);
      recoveries.push(performance.now() - to);
    }
    const streams = load.streams;
    const { findings, upsets, figures } = await load.settle();
    // What was attempted before the cut may have met a broken connection; what came in while the store was away must be told so.
    const failures = publishers.failures.filter(({ at }) => down.some(({ from, to }) => from <= at && at < to));
    const tookMs = failures.map((failure) => failure.tookMs);
    console.log(
      table({
        [`store cut off for ${cutMs / 1000} s`]: cuts,
        "publishes refused meanwhile": failures.length,
        "of these UNAVAILABLE with a retry hint": failures.filter(({ code, hints }) => code === "Unavailable" && hints)
          .length,
        "refused after ms, p50": Math.round(percentile(tookMs, 0.5)),
        "refused after ms, at most": Math.round(Math.max(...tookMs)),
        "first answer after ms, at most": Math.round(Math.max(...recoveries)),
        ...figures,
      }),
    );
    expect.soft(failures.length).toBeGreaterThan(0);
    expect.soft(failures.filter(({ code, hints }) => code !== "Unavailable" || !hints)).toEqual([]);
    expect.soft(Math.max(...tookMs)).toBeLessThanOrEqual(failWithinMs);
    expect.soft(Math.max(...recoveries)).toBeLessThanOrEqual(recoverWithinMs);
    expect.soft(streams).toBe(load.subscribers.length);
    expect.soft(findings.slice(0, 20)).toEqual([]);
    expect.soft(upsets.slice(0, 20)).toEqual([]);
    expect.soft(errorsIn(cluster.log).slice(0, 5)).toEqual([]);
  } finally {
    load?.close();
    await cluster.close();
  }
});
