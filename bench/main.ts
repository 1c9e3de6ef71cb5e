/** `npm run bench`: what the parts cost on this machine, each against a baseline of the same run. */
import { cpus } from "node:os";
import { idleMemory } from "./idle.ts";
import { ingest } from "./ingest.ts";
import { firstPage, publishToReceive } from "./latency.ts";
import { printTable } from "./stats.ts";

const quick = process.argv.includes("--quick");
const [rounds, milliseconds, seconds, calls, streams] = quick ? [1, 500, 2, 100, 200] : [5, 2000, 20, 1000, 5000];

console.log(
  `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, ${new Date().toISOString().slice(0, 10)}\n`,
);
for (const table of [
  () => ingest(rounds, milliseconds),
  () => publishToReceive(seconds),
  () => firstPage(calls),
  () => idleMemory(streams),
]) {
  printTable(await table());
  console.log();
}
