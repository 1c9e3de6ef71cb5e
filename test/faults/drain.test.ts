import { expect, test } from "vitest";
import { drainWatched } from "./drain.ts";
import { report } from "./report.ts";
import { run } from "./run.ts";
import { times } from "./size.ts";

const drains = times(8, 30);

test(`One node, drained ${drains} times under load, exits cleanly and loses no answered message`, async () => {
  const { findings, clientErrors, exitCodes, log, figures } = await run({ how: "drain", times: drains });
  report("drain", figures);
  expect.soft(exitCodes).toEqual(exitCodes.map(() => 0));
  expect.soft(findings.slice(0, 20)).toEqual([]);
  expect.soft(clientErrors).toEqual([]);
  expect.soft(log).toBe("");
});

test("Every stream gets a go_away before a drain ends it", async () => {
  await drainWatched();
});
