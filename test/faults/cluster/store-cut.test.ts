import { expect } from "vitest";
import { testWith } from "../../support/require.ts";
import { percentile } from "../figures.ts";
import { report } from "../report.ts";
import { size, times } from "../size.ts";
import { clusterTools } from "./cluster.ts";
import type { Period } from "./deliveries.ts";
import { figuresOf, type Lane, runLanes } from "./lanes.ts";
import { errorsIn } from "./log.ts";

const cuts = times(2, 20);
const cutMs = size(4_000, 60_000);
/** Nearly all, and all: on a busy machine an answer takes its time to come. */
const [mostFailWithinMs, failWithinMs] = [2_000, 2_500];
const recoverWithinMs = 5_000;

/** How the store is away: connections break and are refused, or nothing is answered. */
const kinds = ["cut", "blackHole"] as const;
type Kind = (typeof kinds)[number];

const testHere = testWith(...clusterTools("ferretdb"));
testHere(`the store is cut off ${cuts} times for ${cutMs / 1000} s under load`, async () => {
  const down = new Map<Lane["cluster"], Period[]>();
  const recoveries: number[] = [];
  const clusters = size(1, 4);
  const outcomes = await runLanes(
    {
      // One on a real server, which finds by scanning and so bears little; the others may answer as fast as a large one does.
      store: (cluster) => (cluster === 0 ? "ferretdb" : "memory"),
      load: { users: 5, pages: 3, perSecond: 10, callers: 6 },
      clusters,
      // Each cluster is given both kinds.
      faults: Array.from({ length: cuts }, (_, index): Kind => kinds[Math.floor(index / clusters) % 2] as Kind),
    },
    async ({ cluster, load: { publishers } }, how) => {
      const from = performance.now();
      for (const { storeCable } of cluster.members) storeCable[how]();
      await publishers.during(cutMs);
      const to = performance.now();
      for (const { storeCable } of cluster.members) storeCable.heal();
      down.set(cluster, [...(down.get(cluster) ?? []), { from, to }]);
      await publishers.answered(publishers.answers.length + 1);
      recoveries.push(performance.now() - to);
      console.log(
        `answers again ${Math.round(recoveries.at(-1) ?? 0)} ms after a ${how} of the store ${cluster.store.name}`,
      );
    },
  );
  // What was attempted before the cut may have met a broken connection, and what was under way at its end may have been
  // stored; what came in while the store was away must be told so.
  const failures = outcomes.flatMap(({ cluster, load }) => {
    const periods = down.get(cluster) ?? [];
    return load.publishers.failures.filter((failure) =>
      periods.some(({ from, to }) => from <= failure.at && failure.at + failure.tookMs < to),
    );
  });
  const tookMs = failures.map((failure) => failure.tookMs);
  const unclear = failures.filter(({ code, hints }) => code !== "Unavailable" || !hints);
  report("store-cut", {
    [`store cut off for ${cutMs / 1000} s`]: cuts,
    "publishes refused meanwhile": failures.length,
    "of these UNAVAILABLE with a retry hint": failures.length - unclear.length,
    "refused after ms, p50": Math.round(percentile(tookMs, 0.5)),
    "refused after ms, p99": Math.round(percentile(tookMs, 0.99)),
    "refused after ms, at most": Math.round(Math.max(...tookMs)),
    "first answer after ms, at most": Math.round(Math.max(...recoveries)),
    ...figuresOf(outcomes),
  });
  expect.soft(failures.length).toBeGreaterThan(0);
  expect.soft(unclear).toEqual([]);
  expect.soft(percentile(tookMs, 0.99)).toBeLessThanOrEqual(mostFailWithinMs);
  expect.soft(Math.max(...tookMs)).toBeLessThanOrEqual(failWithinMs);
  expect.soft(Math.max(...recoveries)).toBeLessThanOrEqual(recoverWithinMs);
  expect.soft(outcomes.flatMap(({ breaks }) => breaks).slice(0, 20)).toEqual([]);
  expect.soft(outcomes.flatMap(({ findings }) => findings).slice(0, 20)).toEqual([]);
  expect.soft(outcomes.flatMap(({ upsets }) => upsets).slice(0, 20)).toEqual([]);
  expect.soft(outcomes.flatMap(({ cluster }) => errorsIn(cluster.log)).slice(0, 5)).toEqual([]);
});
