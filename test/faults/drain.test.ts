import { expect, test } from "vitest";
import { drainWatched } from "./drain.ts";
import { report } from "./report.ts";
import { run } from "./run.ts";
import { times } from "./size.ts";

const drains = times(8, 30);

test(`${drains} times drained under load: every exit is clean, and nothing answered is lost`, async () => {
  const { findings, upsets, exitCodes, log, figures } = await run({ how: "drain", times: drains });
  report("drain", figures);
  expect.soft(exitCodes).toEqual(exitCodes.map(() => 0));
  expect.soft(findings.slice(0, 20)).toEqual([]);
  expect.soft(upsets).toEqual([]);
  expect.soft(log).toBe("");
});

test("every stream is told to go before it ends", async () => {
  await drainWatched();
});
