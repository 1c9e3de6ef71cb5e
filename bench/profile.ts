/** `node bench/profile.ts <file>…`: where the time of CPU profiles went, by package or file; waiting is left out. */
import { readFileSync } from "node:fs";
import { tableText } from "./table.ts";

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { functionName: string; url: string } }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Rows of each table. */
const most = 16;

for (const file of process.argv.slice(2)) {
  const shares = sharesOf(JSON.parse(readFileSync(file, "utf8")) as CpuProfile);
  const rows = shares.slice(0, most).map(([place, share]) => [place, `${(share * 100).toFixed(1)} %`]);
  console.log(`${tableText([["where", "of the time"], ...rows])}\n`);
}

/** The most first. */
function sharesOf({ nodes, samples, timeDeltas }: CpuProfile): [place: string, share: number][] {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
  const times = new Map<string, number>();
  samples.forEach((id, index) => {
    const place = places.get(id) as string;
    if (place !== "(idle)") times.set(place, (times.get(place) ?? 0) + (timeDeltas[index] as number));
  });
  const sum = [...times.values()].reduce((a, b) => a + b, 0);
  return [...times].map(([place, time]): [string, number] => [place, time / sum]).sort((a, b) => b[1] - a[1]);
}

/** A package, a file of ours, a part of Node, or what has no file: a function of the engine or a call of the system. */
function placeOf({ functionName, url }: { functionName: string; url: string }): string {
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
