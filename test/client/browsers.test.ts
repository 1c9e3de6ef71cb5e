/**
 * What reaches a page runs in the oldest browsers: it has no syntax that they cannot parse, and names no function that
 * they lack. `test/e2e/browser/clients.test.ts` runs the clients without these functions.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { describe, expect, test } from "vitest";
import { oldestBrowsers } from "../../scripts/browsers.ts";
import { newerFunctions } from "../support/newer-functions.ts";

const root = join(import.meta.dirname, "../..");
const examples = readdirSync(join(root, "examples"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith("page.ts"))
  .map((file) => `examples/${file}`);

async function bundle(entry: string, target: string | string[]): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(root, entry)],
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target,
    logLevel: "silent",
  });
  return outputFiles[0]?.text ?? "";
}

describe.each(["src/client/index.ts", "src/client/json.ts", "demo/page.ts", ...examples])(
  "The bundle of %s",
  (entry) => {
    test("has only syntax that the oldest browsers parse", async () => {
      expect(await bundle(entry, oldestBrowsers)).toBe(await bundle(entry, "esnext"));
    });

    test("names no function that the oldest browsers lack", async () => {
      const code = await bundle(entry, "esnext");
      const names = newerFunctions.filter(({ owner, name, isStatic }) =>
        new RegExp(isStatic ? `\\b${owner}\\.${name}\\b` : `\\.${name}\\(`).test(code),
      );
      expect(names.map(({ owner, name }) => `${owner}.${name}`)).toEqual([]);
    });
  },
);

test("The list of newer functions has some of each of the years since", () => {
  const known = newerFunctions.map(({ owner, name }) => `${owner}.${name}`);
  expect(known).toEqual(expect.arrayContaining(["URL.canParse", "AbortSignal.any", "Promise.withResolvers"]));
});
