import { expect, test } from "vitest";
import { table } from "./figures.ts";
import { run } from "./run.ts";
import { size } from "./size.ts";

const kills = size(30, 200);

test(`${kills} times killed under load: nothing answered is lost, nothing comes twice`, async () => {
  const { findings, upsets, log, figures } = await run({ how: "kill", times: kills, progress: say });
  console.log(table(figures));
  expect.soft(findings.slice(0, 20)).toEqual([]);
  expect.soft(upsets).toEqual([]);
  expect.soft(log).toBe("");
});

function say(done: number): void {
  if (done % 20 === 0) console.log(`${done} of ${kills} kills`);
}
