import { expect, test } from "vitest";
import { report } from "./report.ts";
import { runSlowReaders } from "./slow-reader.ts";

const mebibyte = 1024 * 1024;
/** The run waits until the server has cut every slow reader, however long a busy machine takes for it. */
const stallMs = 2_000;
/** What 12 slow readers would have queued without a bound: 42 MB each, less some 8 MB in the kernel's buffers. */
const unboundedBytes = 12 * 34e6;

test("Readers that stop reading cost the server little memory, are cut, and lose nothing", {
  timeout: 180_000,
}, async () => {
  const { growthBytes, cutAfterMs, received, streams, sent, log } = await runSlowReaders(stallMs, 4);
  report("slow-reader", {
    "growth of server memory, MiB": Math.round(growthBytes / mebibyte),
    "slow readers cut after the last publish, ms": Math.round(cutAfterMs),
  });
  const all = Array.from({ length: sent }, (_, index) => index + 1);
  for (const [name, seqs] of Object.entries(received)) expect.soft(seqs, name).toEqual(all);
  for (const [name, count] of Object.entries(streams)) {
    if (name.startsWith("slow")) expect.soft(count, name).toBeGreaterThan(1);
    else expect.soft(count, name).toBe(1);
  }
  expect.soft(growthBytes).toBeLessThan(unboundedBytes / 1.5);
  expect.soft(log).toBe("");
});
