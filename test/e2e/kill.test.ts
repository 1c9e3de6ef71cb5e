import { expect, test } from "vitest";
import { run } from "../faults/run.ts";

test("a server that is killed under load loses nothing that it answered and repeats nothing", {
  timeout: 60_000,
}, async () => {
  const { findings, upsets, log, figures } = await run({ how: "kill", times: 4 });
  expect.soft(findings).toEqual([]);
  expect.soft(upsets).toEqual([]);
  expect.soft(log).toBe("");
  expect(figures["publishes answered"]).toBeGreaterThan(0);
});
