import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

interface Import {
  /** A path below the source folder, a path out of it (`../gen/…`), or a package. */
  readonly from: string;
  /** The import is erased: types only. */
  readonly type: boolean;
}

interface SourceFile {
  readonly name: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

/** Every TypeScript file below a folder of the repository, with what it imports, types included. */
function readSources(folder: string): readonly SourceFile[] {
  const base = join(root, folder);
  const names = readdirSync(base, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  return names.map((name) => {
    const text = readFileSync(join(base, name), "utf8");
    const found = text.matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from "([^"]+)";|\bimport\("([^"]+)"\)/gms);
    const imports = [...found].map(([, type, named, dynamic]) => {
      const from = named ?? dynamic ?? "";
      return {
        type: type !== undefined,
        from: from.startsWith(".") ? relative(base, join(base, dirname(name), from)) : from,
      };
    });
    return { name, text, imports };
  });
}

const files = readSources("src");

/**
 * The floors of src/, highest first. A file imports from its own folder and from the floors below; two folders that share
 * a floor do not know each other. `client/` stands apart and has a test of its own.
 */
const floors: readonly (readonly string[])[] = [
  ["index.ts", "cli"],
  ["server.ts"],
  ["shared-process.ts"],
  ["rpc", "ws", "durable-streams"],
  ["core"],
  ["publish", "stream"],
  ["inbox", "presence"],
  ["rooms"],
  ["feeds"],
  ["limits"],
  ["http", "auth"],
  ["option-keys.ts"],
  ["options.ts"],
  ["contract", "metrics", "wire", "adapters", "testing"],
  ["auth-options.ts", "limit-options.ts", "in-flight-options.ts"],
  ["util"],
  ["errors.ts"],
  ["ports"],
  ["gen.ts"],
];

/** The top folder of a file, or the file itself where it lies in src/. */
function folderOf(name: string): string {
  return name.split("/")[0] as string;
}

function floorOf(name: string): number {
  return floors.findIndex((folders) => folders.includes(folderOf(name)));
}

/** Whether the floors allow an import from one file of src/ to another. */
function isDownward(name: string, from: string): boolean {
  if (folderOf(name) === folderOf(from)) return true;
  // The command line is a client of running servers, too, and gen.ts is an entry of the client's package.
  if (folderOf(from) === "client") return folderOf(name) === "cli" || name === "gen.ts";
  return floorOf(name) < floorOf(from);
}

/** Groups of files that import each other, directly or not, types included: Tarjan's strongly connected components. */
function cyclesOf(sources: readonly SourceFile[]): string[][] {
  const found: string[][] = [];
  const order = new Map<string, number>();
  const stack: string[] = [];
  const visit = (name: string): number => {
    const own = order.size;
    let lowest = own;
    order.set(name, own);
    stack.push(name);
    for (const { from } of sources.find((file) => file.name === name)?.imports ?? []) {
      if (!sources.some((file) => file.name === from)) continue;
      if (!order.has(from)) lowest = Math.min(lowest, visit(from));
      else if (stack.includes(from)) lowest = Math.min(lowest, order.get(from) as number);
    }
    if (lowest === own) {
      const group = stack.splice(stack.indexOf(name));
      if (group.length > 1) found.push(group);
    }
    return lowest;
  };
  for (const { name } of sources) if (!order.has(name)) visit(name);
  return found;
}

function importsOf(prefix: string): { name: string; from: string; type: boolean }[] {
  return files
    .filter(({ name }) => name.startsWith(prefix))
    .flatMap(({ name, imports }) => imports.map((i) => ({ name, ...i })));
}

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

describe("The folders of src/", () => {
  test("each stand on a floor", () => {
    const folders = new Set(files.map(({ name }) => folderOf(name)).filter((name) => name !== "client"));
    expect([...folders].sort()).toEqual(floors.flat().sort());
  });

  test("import downwards only", () => {
    for (const { name, imports } of files) {
      if (name.startsWith("client/")) continue;
      const inside = imports.filter(({ from }) => files.some((file) => file.name === from));
      for (const { from } of inside) expect.soft(isDownward(name, from), `${name} → ${from}`).toBe(true);
    }
  });

  test("keep ports free of everything but each other's types", () => {
    for (const { name, from, type } of importsOf("ports/"))
      expect.soft(type && from.startsWith("ports/"), `${name} → ${from}`).toBe(true);
  });

  test("give adapters nothing but ports, errors, utilities, Node, their driver, the encoding and the logger's type", () => {
    for (const { name, from, type } of importsOf("adapters/")) {
      const allowed =
        /^(ports|util|adapters)\//.test(from) ||
        from === "errors.ts" ||
        from.startsWith("node:") ||
        from === "@bufbuild/protobuf/wire" ||
        (from === "pino" && type) ||
        driversOf(name).test(from);
      expect.soft(allowed, `${name} → ${from}`).toBe(true);
    }
  });

  test("keep the port suites, and the test runner that they need, out of everything else", () => {
    const runner = /^(vitest|fast-check)$/;
    for (const { name, imports } of files.filter((file) => !file.name.startsWith("testing/"))) {
      const found = imports.filter(({ from }) => runner.test(from) || from.startsWith("testing/"));
      expect.soft(found, name).toEqual([]);
    }
    expect(importsOf("testing/").filter(({ from }) => runner.test(from))).not.toEqual([]);
  });

  test("keep each driver in its adapter", () => {
    for (const { name, imports } of files) {
      for (const { from } of imports) {
        const owner = drivers.find(([, packages]) => packages.test(from))?.[0];
        if (owner !== undefined) expect.soft(name.startsWith(owner), `${name} → ${from}`).toBe(true);
      }
    }
  });

  test("let server.ts and shared-process.ts alone choose adapters; others may read their URLs", () => {
    for (const { name, imports } of files) {
      if (name === "server.ts" || name === "shared-process.ts" || name.startsWith("adapters/")) continue;
      const chosen = imports.filter(({ from }) => from.startsWith("adapters/") && from !== "adapters/urls.ts");
      expect.soft(chosen, name).toEqual([]);
    }
  });

  test("let the client import the contract, the clock, ids of rooms and no Node", () => {
    for (const { name, from } of importsOf("client/")) {
      const allowed =
        from.startsWith("client/") ||
        from === "ports/clock.ts" ||
        from === "rooms/room-ids.ts" ||
        /^\.\.\/gen\/|^@bufbuild\/protobuf|^@connectrpc\/connect(-web)?(\/|$)/.test(from);
      expect.soft(allowed, `${name} → ${from}`).toBe(true);
    }
  });

  test("share with the client only files that import nothing", () => {
    expect(["ports/clock.ts", "rooms/room-ids.ts"].flatMap(importsOf)).toEqual([]);
  });

  test("take time, randomness and the end of an event-loop tick as arguments in the core", () => {
    const hidden =
      /\bDate\.now\(|new Date\(\)|Math\.random\(|\bset(Timeout|Interval|Immediate)\(|queueMicrotask\(|nextTick\(|performance\.|randomBytes|randomUUID|getRandomValues/;
    // These two hold the machine's own, the defaults of the options.
    const machine = ["ports/clock.ts", "wire/flush-queue.ts"];
    const core = reachable(["core/core.ts", "stream/subscription.ts"]).filter((name) => !machine.includes(name));
    expect(core).toContain("publish/publisher.ts");
    for (const { name, text } of files.filter((file) => core.includes(file.name))) {
      expect.soft(hidden.exec(text)?.[0], name).toBeUndefined();
    }
  });
});

describe("No file depends on itself, types included, in", () => {
  test.each(["src", "bench", "test", "examples", "scripts"])("%s", (folder) => {
    expect(cyclesOf(readSources(folder))).toEqual([]);
  });

  test("a made-up folder with a cycle, which is found", () => {
    const file = (name: string, from: string) => ({ name, text: "", imports: [{ from, type: true }] });
    expect(cyclesOf([file("a.ts", "b.ts"), file("b.ts", "c.ts"), file("c.ts", "b.ts")])).toEqual([["b.ts", "c.ts"]]);
  });
});

describe("The size of things", () => {
  test("no file is over 500 lines", () => {
    const lines = files.map(({ name, text }) => ({ name, lines: text.split("\n").length }));
    expect(lines.filter((file) => file.lines > 500)).toEqual([]);
  });
});
