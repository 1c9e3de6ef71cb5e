import { expect, test } from "vitest";
import { report } from "./report.ts";
import { run } from "./run.ts";
import { times } from "./size.ts";

const kills = times(30, 200);

test(`${kills} times killed under load: nothing answered is lost, nothing comes twice`, async () => {
  const { findings, upsets, log, figures } = await run({ how: "kill", times: kills, progress: say });
  report("kill", figures);
  expect.soft(findings.slice(0, 20)).toEqual([]);
  expect.soft(upsets).toEqual([]);
  expect.soft(log).toBe("");
});

function say(done: number): void {
  if (done % 20 === 0) console.log(`${done} of ${kills} kills`);
}
