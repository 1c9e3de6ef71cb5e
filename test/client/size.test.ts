import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { describe, expect, test } from "vitest";
import { oldestBrowsers } from "../../scripts/browsers.ts";

/** Bundles an entry as a page would load it: one file with everything that it imports. */
async function bundle(entry: string) {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(import.meta.dirname, "../../src/client", entry)],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "browser",
    target: oldestBrowsers,
    logLevel: "silent",
  });
  const code = outputFiles[0]?.contents ?? new Uint8Array();
  const outputs = Object.values(metafile.outputs);
  return {
    text: new TextDecoder().decode(code),
    gzip: gzipSync(code, { level: 9 }).length,
    /** The files that contribute code. */
    files: outputs.flatMap(({ inputs }) =>
      Object.keys(inputs).filter((file) => (inputs[file]?.bytesInOutput ?? 0) > 0),
    ),
    imports: outputs.flatMap(({ imports }) => imports.map(({ path }) => path)),
  };
}

describe.each([
  ["index.ts", 34_500],
  ["json.ts", 10_000],
])("The bundle of %s", (entry, limit) => {
  test(`is at most ${limit} bytes, minified and gzipped`, async () => {
    expect((await bundle(entry)).gzip).toBeLessThanOrEqual(limit);
  });

  test("has no code of Node, of ws, of validation or of the server", async () => {
    const { text, files, imports } = await bundle(entry);
    expect(imports).toEqual([]);
    expect(text).not.toMatch(/["']node:|\brequire\(/);
    expect(
      files.filter((file) => /node_modules\/(ws|@bufbuild\/protovalidate|@bufbuild\/cel|@connectrpc)\//.test(file)),
    ).toEqual([]);
    expect(
      files.filter(
        (file) => /^src\//.test(file) && !/^src\/(client\/|ports\/clock\.ts|rooms\/room-ids\.ts)/.test(file),
      ),
    ).toEqual([]);
  });
});

test("The bundle of json.ts has neither the Protobuf runtime nor generated code", async () => {
  const { files } = await bundle("json.ts");
  expect(files.filter((file) => /node_modules|^gen\//.test(file))).toEqual([]);
});
