import { expect, test } from "vitest";
import { report } from "./report.ts";
import { run } from "./run.ts";
import { times } from "./size.ts";

const kills = times(30, 200);

test(`One node, killed ${kills} times under load, loses and repeats no answered message`, async () => {
  const { findings, clientErrors, log, figures } = await run({ how: "kill", times: kills, progress: print });
  report("kill", figures);
  expect.soft(findings.slice(0, 20)).toEqual([]);
  expect.soft(clientErrors).toEqual([]);
  expect.soft(log).toBe("");
});

function print(done: number): void {
  if (done % 20 === 0) console.log(`${done} of ${kills} kills`);
}
