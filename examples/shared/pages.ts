/**
 * The files that a browser loads: the pages of an example with their bundled scripts, and the first page around them.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** A file to serve. */
export interface ServedFile {
  readonly type: string;
  readonly body: string | Uint8Array;
}

const shared = new URL("./", import.meta.url);

/** Loads the files by their paths: `/` is the first page, `/<name>` a page of the example, `/<name>.js` its script. */
export async function loadPages(folder: URL): Promise<ReadonlyMap<string, ServedFile>> {
  const files = new Map<string, ServedFile>([
    ["/", page(new URL("stage.html", shared))],
    ["/style.css", { type: "text/css; charset=utf-8", body: readFileSync(new URL("style.css", shared)) }],
    ["/stage.css", { type: "text/css; charset=utf-8", body: readFileSync(new URL("stage.css", shared)) }],
  ]);
  const scripts = [new URL("stage.ts", shared), new URL("forms.ts", shared)];
  for (const name of readdirSync(folder)) {
    if (name.endsWith(".html")) files.set(`/${name.slice(0, -".html".length)}`, page(new URL(name, folder)));
    if (name === "page.ts") scripts.push(new URL(name, folder));
  }
  for (const [path, body] of await bundle(scripts)) files.set(path, { type: "text/javascript; charset=utf-8", body });
  return files;
}

function page(file: URL): ServedFile {
  return { type: "text/html; charset=utf-8", body: readFileSync(file) };
}

/** Bundles scripts, as your own bundler would. */
async function bundle(scripts: readonly URL[]): Promise<[path: string, body: Uint8Array][]> {
  const { outputFiles } = await build({
    entryPoints: scripts.map((script) => fileURLToPath(script)),
    outdir: "/",
    entryNames: "[name]",
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    write: false,
  });
  return outputFiles.map(({ path, contents }) => [path, contents]);
}
