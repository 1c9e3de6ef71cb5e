/**
 * `node bench/profile.ts <file>…`: prints which packages and files the time of CPU profiles went to, without idle time. Only
 * the second half of a profile counts: the first one has the start of the process and the warm-up.
 */
import { readFileSync } from "node:fs";
import { tableText } from "./report/table.ts";

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { functionName: string; url: string } }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** The number of rows of each table. */
const maxRows = 16;

for (const file of process.argv.slice(2)) {
  const shares = sharesOf(JSON.parse(readFileSync(file, "utf8")) as CpuProfile);
  const rows = shares.slice(0, maxRows).map(([location, share]) => [location, `${(share * 100).toFixed(1)} %`]);
  console.log(`${tableText([["location", "share of the time"], ...rows])}\n`);
}

/** The share of each location, largest first. */
function sharesOf({ nodes, samples, timeDeltas }: CpuProfile): [location: string, share: number][] {
  const locations = new Map(nodes.map(({ id, callFrame }) => [id, locationOf(callFrame)]));
  const times = new Map<string, number>();
  const half = timeDeltas.reduce((sum, delta) => sum + delta, 0) / 2;
  let passed = 0;
  samples.forEach((id, index) => {
    const location = locations.get(id) as string;
    passed += timeDeltas[index] as number;
    if (passed >= half && location !== "(idle)")
      times.set(location, (times.get(location) ?? 0) + (timeDeltas[index] as number));
  });
  const sum = [...times.values()].reduce((a, b) => a + b, 0);
  return [...times].map(([location, time]): [string, number] => [location, time / sum]).sort((a, b) => b[1] - a[1]);
}

/** A package, a file of this repository, a module of Node, or the name of a function that has no file: V8 or a system call. */
function locationOf({ functionName, url }: { functionName: string; url: string }): string {
  if (url === "") return functionName === "" ? "(engine)" : functionName;
  const dependency = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  if (dependency !== undefined) return dependency;
  return (
    /\/((?:src|gen|bench)\/.*)$/.exec(url)?.[1] ??
    url
      .replace(/^node:/, "node ")
      .split("/", 2)
      .join("/")
  );
}
