import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const src = join(root, "src");

/** Every source file, with the files of the repository and the packages that it imports; type-only imports left out. */
const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => {
    const text = readFileSync(join(src, name), "utf8");
    const imports = [...text.matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from "([^"]+)";/gms)].map(
      ([, type, from = ""]) => ({
        type: type !== undefined,
        from: from.startsWith(".") ? relative(src, join(src, dirname(name), from)) : from,
      }),
    );
    return { name, text, imports };
  });

function importsOf(prefix: string): { name: string; from: string; type: boolean }[] {
  return files
    .filter(({ name }) => name.startsWith(prefix))
    .flatMap(({ name, imports }) => imports.map((i) => ({ name, ...i })));
}

const ports = ["store.ts", "bus.ts", "presence.ts", "meter.ts", "tracer.ts"];

/** The packages that an adapter is there for: no other file imports them. */
const drivers: readonly (readonly [folder: string, packages: RegExp])[] = [
  ["adapters/mongodb/", /^mongodb$/],
  ["adapters/redis/", /^ioredis$/],
  ["adapters/prometheus/", /^prom-client$/],
  ["adapters/otlp/", /^@opentelemetry\//],
];

function driversOf(file: string): RegExp {
  return drivers.find(([folder]) => file.startsWith(folder))?.[1] ?? /^$/;
}

/** Files that these need at run time, themselves included. */
function reachable(names: readonly string[]): string[] {
  const found = new Set(names);
  for (const name of found) {
    for (const { from, type } of files.find((file) => file.name === name)?.imports ?? []) if (!type) found.add(from);
  }
  return [...found].filter((name) => files.some((file) => file.name === name));
}

const stages = [
  "publish.ts",
  "hub.ts",
  "subscription.ts",
  "inbox.ts",
  "lists.ts",
  "recall.ts",
  "cursor.ts",
  "ring.ts",
  "core.ts",
];

describe("the arrows of ARCHITECTURE.md", () => {
  test("ports import only each other's types", () => {
    for (const { name, from, type } of ports.flatMap(importsOf))
      expect.soft(type && ports.includes(from), `${name} → ${from}`).toBe(true);
  });

  test("adapters import ports, errors, their own folder, Node, their driver, the encoding and the logger's type", () => {
    for (const { name, from, type } of importsOf("adapters/")) {
      const allowed =
        [...ports, "errors.ts"].includes(from) ||
        from.startsWith("adapters/") ||
        from.startsWith("node:") ||
        from === "@bufbuild/protobuf/wire" ||
        (from === "pino" && type) ||
        driversOf(name).test(from);
      expect.soft(allowed, `${name} → ${from}`).toBe(true);
    }
  });

  test("drivers are imported by their adapters only", () => {
    for (const { name, imports } of files) {
      for (const { from } of imports) {
        const owner = drivers.find(([, packages]) => packages.test(from))?.[0];
        if (owner !== undefined) expect.soft(name.startsWith(owner), `${name} → ${from}`).toBe(true);
      }
    }
  });

  test("stages know no adapter and no transport", () => {
    for (const { name, from } of stages.flatMap(importsOf)) {
      expect.soft(/^(adapters|rpc|http|cli|client)\//.test(from), `${name} → ${from}`).toBe(false);
    }
  });

  test("only server.ts wires adapters", () => {
    for (const { name, imports } of files) {
      if (name === "server.ts" || name.startsWith("adapters/")) continue;
      for (const { from } of imports) expect.soft(from.startsWith("adapters/"), `${name} → ${from}`).toBe(false);
    }
  });

  test("the client imports the contract, the clock, ids of rooms and no Node", () => {
    for (const { name, from } of importsOf("client/")) {
      const allowed =
        from.startsWith("client/") ||
        from === "clock.ts" ||
        from === "room-ids.ts" ||
        /^\.\.\/gen\/|^@bufbuild\/protobuf|^@connectrpc\/connect(-web)?(\/|$)/.test(from);
      expect.soft(allowed, `${name} → ${from}`).toBe(true);
    }
  });

  test("what the client shares with the server imports nothing", () => {
    expect(["clock.ts", "room-ids.ts"].flatMap(importsOf)).toEqual([]);
  });

  test("the core takes time, randomness and the end of a turn as arguments", () => {
    const hidden =
      /\bDate\.now\(|new Date\(\)|Math\.random\(|\bset(Timeout|Interval|Immediate)\(|queueMicrotask\(|nextTick\(|performance\.|randomBytes|randomUUID|getRandomValues/;
    // The machine's own, for who gives nothing else.
    const core = reachable(["core.ts", "subscription.ts"]).filter((name) => !["clock.ts", "turn.ts"].includes(name));
    expect(core).toContain("publish.ts");
    for (const { name, text } of files.filter((file) => core.includes(file.name))) {
      expect.soft(hidden.exec(text)?.[0], name).toBeUndefined();
    }
  });
});

describe("the size of things", () => {
  const lines = files
    .map(({ name, text }) => ({ name, lines: text.split("\n").length }))
    .sort((a, b) => a.lines - b.lines);

  test("no file is over 400 lines", () => {
    expect(lines.filter((file) => file.lines > 400)).toEqual([]);
  });

  test("the median file is at most 130 lines", () => {
    expect(lines[Math.floor(lines.length / 2)]?.lines).toBeLessThanOrEqual(130);
  });
});
