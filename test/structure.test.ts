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

const ports = ["store.ts", "bus.ts", "presence.ts"];
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

/** Packages that the adapters of a folder are made for. */
const drivers: Readonly<Record<string, readonly string[]>> = { mongodb: ["mongodb"] };

describe("the arrows of ARCHITECTURE.md", () => {
  test("ports import only each other's types", () => {
    for (const { name, from, type } of ports.flatMap(importsOf))
      expect.soft(type && ports.includes(from), `${name} → ${from}`).toBe(true);
  });

  test("adapters import ports, errors, their own folder, Node and their driver", () => {
    for (const { name, from } of importsOf("adapters/")) {
      const [, folder = ""] = name.split("/");
      const allowed =
        [...ports, "errors.ts", ...(drivers[folder] ?? [])].includes(from) ||
        from.startsWith("adapters/") ||
        from.startsWith("node:");
      expect.soft(allowed, `${name} → ${from}`).toBe(true);
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

  test("the core takes time and randomness as arguments", () => {
    for (const { name, text } of files.filter(
      (file) => stages.includes(file.name) || /^(online|deadlines|ids|retention|streams)\.ts$/.test(file.name),
    )) {
      expect
        .soft(/\bDate\.now\(|Math\.random\(|\bsetTimeout\(|\bsetInterval\(|randomBytes|randomUUID/.test(text), name)
        .toBe(false);
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
