/**
 * Calculates the tables of docs/scale.md from the figures in its first table. After a new measurement, change a figure there
 * and run `node scripts/scale.ts --write`.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const path = join(import.meta.dirname, "../docs/scale.md");

/** Reads the figures of the document, by name. Throws when one of them is not a number. */
export function figuresOf(document: string): Readonly<Record<string, number>> {
  const rows = [...document.matchAll(/^\| `(\w+)` \| ([^|]+) \|/gm)];
  return Object.fromEntries(
    rows.map(([, name = "", text = ""]) => {
      const value = Number(text.replaceAll(",", ""));
      if (!Number.isFinite(value)) throw new Error(`docs/scale.md: ${name} is not a number`);
      return [name, value];
    }),
  );
}

const sizes = [10_000, 100_000, 1_000_000, 10_000_000];
const text = (value: number, digits = 0) => value.toLocaleString("en-US", { maximumFractionDigits: digits });
const percent = (part: number) => `${text(part * 100, part < 0.1 ? 1 : 0)} %`;
const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
const table = (header: readonly string[], rows: readonly (readonly string[])[]) =>
  [row(header), row(header.map(() => "---")), ...rows.map(row)].join("\n");

/** The load of this many streams, and what it costs, by the formulas of the document. */
function cost(streams: number, f: Readonly<Record<string, number>>) {
  const get = (name: string): number => {
    const value = f[name];
    if (value === undefined) throw new Error(`docs/scale.md has no figure ${name}`);
    return value;
  };
  const nodes = Math.max(1, Math.ceil(streams / get("streamsPerNode")));
  const published = (streams * (get("ownPerHour") + get("broadcastsPerHour") / get("tenantUsers"))) / 3600;
  const delivered = (streams * (get("ownPerHour") + get("broadcastsPerHour"))) / 3600;
  const beats = streams / get("heartbeatS");
  return {
    nodes,
    published,
    delivered,
    memoryGb: (streams * get("streamKb")) / 1e6,
    nodeCpu:
      (((delivered + beats) / nodes) * get("deliverUs") +
        (published / nodes) * get("publishUs") +
        (nodes > 1 ? published * get("decodeUs") : 0)) /
      1e6,
    leaseCpu: nodes > 1 ? (streams * get("leaseUs")) / 1e6 : 0,
    busCpu: nodes > 1 ? (published * (get("busUs") + get("busPerNodeUs") * nodes)) / 1e6 : 0,
    busMb: nodes > 1 ? (published * nodes * get("busBytes")) / 1e6 : 0,
    shards: Math.ceil(published / get("appendsPerShard")),
    gbPerDay: (published * 86_400 * get("storedBytes")) / 1e9,
    returnS: nodes > 1 ? streams / nodes / ((nodes - 1) * get("admittedPerS")) : streams / get("admittedPerS"),
  };
}

/** Returns the document with its calculated tables replaced. */
export function calculate(document: string): string {
  const figures = figuresOf(document);
  const costs = sizes.map((streams) => ({ streams, ...cost(streams, figures) }));
  const tables: Readonly<Record<string, string>> = {
    load: table(
      ["streams", "published a second", "delivered a second", "nodes", "memory of all nodes", "CPU of one node"],
      costs.map((c) => [
        text(c.streams),
        text(c.published),
        text(c.delivered),
        text(c.nodes),
        `${text(c.memoryGb, 1)} GB`,
        percent(c.nodeCpu),
      ]),
    ),
    shared: table(
      [
        "streams",
        "Redis: leases",
        "Redis: bus",
        "bus to all nodes",
        "MongoDB shards",
        "stored a day",
        "all streams back after losing one node",
      ],
      costs.map((c) => [
        text(c.streams),
        c.nodes > 1 ? percent(c.leaseCpu) : "none",
        c.nodes > 1 ? percent(c.busCpu) : "none",
        c.nodes > 1 ? `${text(c.busMb, 1)} MB/s` : "none",
        text(c.shards),
        `${text(c.gbPerDay, 1)} GB`,
        `${text(c.returnS)} s`,
      ]),
    ),
    limits: limits(figures),
  };
  return document.replace(
    /<!-- calculated: (\w+) -->\n[\s\S]*?<!-- end -->/g,
    (_all, name: string) => `<!-- calculated: ${name} -->\n${tables[name] ?? ""}\n<!-- end -->`,
  );
}

/** The number of streams at which each resource is saturated, while all other figures stay as they are. */
function limits(figures: Readonly<Record<string, number>>): string {
  const parts: readonly [string, (c: ReturnType<typeof cost>) => number][] = [
    ["one Redis: a core of leases", (c) => c.leaseCpu],
    ["one Redis: a core of the bus", (c) => c.busCpu],
    ["one Redis: 10 Gbit/s to the nodes", (c) => c.busMb / 1250],
    ["one Redis: both on one server", (c) => c.leaseCpu + c.busCpu],
    ["a node: a core", (c) => c.nodeCpu],
    ["one MongoDB replica set", (c) => c.published / (figures.appendsPerShard ?? 1)],
  ];
  /** The number of streams at which a resource is saturated, with this many times the messages. */
  const saturation = (load: (c: ReturnType<typeof cost>) => number, factor: number) => {
    const scaled = {
      ...figures,
      ownPerHour: (figures.ownPerHour ?? 0) * factor,
      broadcastsPerHour: (figures.broadcastsPerHour ?? 0) * factor,
    };
    const max = 1e9;
    if (load(cost(max, scaled)) < 1) return "beyond 1,000 million";
    let [low, high] = [1, max];
    while (high / low > 1.001) {
      const middle = Math.sqrt(low * high);
      if (load(cost(middle, scaled)) < 1) low = middle;
      else high = middle;
    }
    return `${text(high / 1e6, 1)} million`;
  };
  return table(
    ["saturated resource", "streams", "streams at ten times the messages"],
    parts.map(([name, load]) => [name, saturation(load, 1), saturation(load, 10)]),
  );
}

if (import.meta.main) {
  const document = calculate(readFileSync(path, "utf8"));
  if (process.argv.includes("--write")) writeFileSync(path, document);
  else process.stdout.write(document);
}
