/** `npm run bench`: what the parts cost on this machine, each against a baseline of the same run. */
import { cpus } from "node:os";
import { broadcast } from "./broadcast.ts";
import { idleMemory } from "./idle.ts";
import { ingest } from "./ingest.ts";
import { firstPage, publishToReceive } from "./latency.ts";
import { roomJoins } from "./rooms.ts";
import { printTable } from "./stats.ts";

const quick = process.argv.includes("--quick");
const [rounds, milliseconds, seconds, calls, streams] = quick ? [1, 500, 2, 100, 200] : [5, 2000, 20, 1000, 5000];
const [joins, known] = quick ? [100, 1000] : [1000, 100_000];

console.log(
  `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, ${new Date().toISOString().slice(0, 10)}\n`,
);
for (const table of [
  () => ingest(rounds, milliseconds),
  () => publishToReceive(seconds),
  () => firstPage(calls),
  () => idleMemory(streams),
  () => roomJoins(joins),
  () => broadcast(known),
]) {
  printTable(await table());
  console.log();
}
