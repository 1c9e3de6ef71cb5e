/** The short form of `npm run test:faults`. */
import { expect, test } from "vitest";
import { drainWatched } from "../faults/drain.ts";
import { run } from "../faults/run.ts";

test("a server that is killed under load loses nothing that it answered and repeats nothing", {
  timeout: 60_000,
}, async () => {
  const { findings, clientErrors, log, figures } = await run({ how: "kill", times: 4 });
  expect.soft(findings).toEqual([]);
  expect.soft(clientErrors).toEqual([]);
  expect.soft(log).toBe("");
  expect(figures["publishes answered"]).toBeGreaterThan(0);
});

test("a server that is told to stop under load says so to every stream, and exits cleanly", {
  timeout: 60_000,
}, async () => {
  await drainWatched();
});
