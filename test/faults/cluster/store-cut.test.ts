import { expect } from "vitest";
import { testWith } from "../../support/require.ts";
import { percentile } from "../figures.ts";
import { report } from "../report.ts";
import { size, times } from "../size.ts";
import { clusterTools } from "./cluster.ts";
import type { Period } from "./delivery-times.ts";
import { errorsIn } from "./log-errors.ts";
import { figuresOf, type LoadedCluster, runClusters } from "./parallel-clusters.ts";

const cuts = times(2, 20);
const cutMs = size(4_000, 60_000);
/** Time limits for a refusal, at p99 and in every case: a busy machine delays some answers. */
const [refuseP99Ms, refuseMaxMs] = [2_000, 2_500];
const recoverWithinMs = 5_000;

/** How the store is unreachable: connections break and are refused, or stay open without a response. */
const kinds = ["cut", "blackHole"] as const;
type Kind = (typeof kinds)[number];

testWith(...clusterTools("ferretdb"))(
  `Nodes that are cut off from their store ${cuts} times for ${cutMs / 1000} s under load refuse publishes, and lose nothing`,
  async () => {
    const down = new Map<LoadedCluster["cluster"], Period[]>();
    const recoveries: number[] = [];
    const clusters = size(1, 4);
    const outcomes = await runClusters(
      {
        // One cluster uses FerretDB, which finds by scanning and so allows only a low load; the others use a fast store.
        store: (cluster) => (cluster === 0 ? "ferretdb" : "memory"),
        load: { users: 5, pages: 3, perSecond: 10, callers: 6 },
        clusters,
        // Each cluster gets both kinds.
        faults: Array.from({ length: cuts }, (_, index): Kind => kinds[Math.floor(index / clusters) % 2] as Kind),
      },
      async ({ cluster, load: { publishers } }, kind) => {
        const from = performance.now();
        for (const { storeProxy } of cluster.nodes) storeProxy[kind]();
        await publishers.during(cutMs);
        const to = performance.now();
        for (const { storeProxy } of cluster.nodes) storeProxy.heal();
        down.set(cluster, [...(down.get(cluster) ?? []), { from, to }]);
        await publishers.answered(publishers.answers.length + 1);
        recoveries.push(performance.now() - to);
        console.log(
          `first answer ${Math.round(recoveries.at(-1) ?? 0)} ms after a ${kind} of the store ${cluster.store.name}`,
        );
      },
    );
    // Only calls within a cut are checked: one that began before it may fail with its connection, and one that was in flight
    // at its end may have been stored.
    const failures = outcomes.flatMap(({ cluster, load }) => {
      const periods = down.get(cluster) ?? [];
      return load.publishers.failures.filter((failure) =>
        periods.some(({ from, to }) => from <= failure.at && failure.at + failure.tookMs < to),
      );
    });
    const tookMs = failures.map((failure) => failure.tookMs);
    const others = failures.filter(({ code, hasRetryInfo }) => code !== "Unavailable" || !hasRetryInfo);
    report("store-cut", {
      [`store cut off for ${cutMs / 1000} s`]: cuts,
      "publishes refused during a cut": failures.length,
      "of these UNAVAILABLE with RetryInfo": failures.length - others.length,
      "time until a refusal, p50, ms": Math.round(percentile(tookMs, 0.5)),
      "time until a refusal, p99, ms": Math.round(percentile(tookMs, 0.99)),
      "time until a refusal, max, ms": Math.round(Math.max(...tookMs)),
      "time until the first answer after a cut, max, ms": Math.round(Math.max(...recoveries)),
      ...figuresOf(outcomes),
    });
    expect.soft(failures.length).toBeGreaterThan(0);
    expect.soft(others).toEqual([]);
    expect.soft(percentile(tookMs, 0.99)).toBeLessThanOrEqual(refuseP99Ms);
    expect.soft(Math.max(...tookMs)).toBeLessThanOrEqual(refuseMaxMs);
    expect.soft(Math.max(...recoveries)).toBeLessThanOrEqual(recoverWithinMs);
    expect.soft(outcomes.flatMap(({ breaks }) => breaks).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ findings }) => findings).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ clientErrors }) => clientErrors).slice(0, 20)).toEqual([]);
    expect.soft(outcomes.flatMap(({ cluster }) => errorsIn(cluster.log)).slice(0, 5)).toEqual([]);
  },
);
