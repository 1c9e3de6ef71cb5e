/** Writes dist/: what the package ships. Sources run as they are in a checkout, so only `npm pack` needs it. */
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");

rmSync(dist, { recursive: true, force: true });
execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
cpSync(join(root, "gen/descriptor.binpb"), join(dist, "gen/descriptor.binpb"));
for (const file of ["index.html", "style.css"]) cpSync(join(root, "demo", file), join(dist, "demo", file));
buildSync({
  entryPoints: [join(root, "demo/page.ts")],
  outfile: join(dist, "demo/page.js"),
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
});
chmodSync(join(dist, "src/cli/main.js"), 0o755);
