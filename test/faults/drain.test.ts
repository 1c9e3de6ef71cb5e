import { expect, test } from "vitest";
import { drainWatched } from "./drain.ts";
import { table } from "./figures.ts";
import { run } from "./run.ts";
import { size } from "./size.ts";

const drains = size(8, 30);

test(`${drains} times drained under load: every exit is clean, and nothing answered is lost`, async () => {
  const { findings, upsets, exitCodes, log, figures } = await run({ how: "drain", times: drains });
  console.log(table(figures));
  expect.soft(exitCodes).toEqual(exitCodes.map(() => 0));
  expect.soft(findings.slice(0, 20)).toEqual([]);
  expect.soft(upsets).toEqual([]);
  expect.soft(log).toBe("");
});

test("every stream is told to go before it ends", async () => {
  await drainWatched();
});
