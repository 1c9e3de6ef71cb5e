/** The short form of `npm run test:faults`. */
import { expect, test } from "vitest";
import { drainWatched } from "../faults/drain.ts";
import { run } from "../faults/run.ts";

test("A server that is killed under load loses no publish that it answered, and repeats none", {
  timeout: 60_000,
}, async () => {
  const { findings, clientErrors, log, figures } = await run({ how: "kill", times: 1 });
  expect.soft(findings).toEqual([]);
  expect.soft(clientErrors).toEqual([]);
  expect.soft(log).toBe("");
  expect(figures["publishes answered"]).toBeGreaterThan(0);
});

test("A server that stops under load sends go_away to every stream, and exits cleanly", {
  timeout: 60_000,
}, async () => {
  await drainWatched();
});
