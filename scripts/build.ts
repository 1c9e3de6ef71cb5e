/**
 * Writes the two packages, ready to be published: dist/tidings-client and dist/tidings. A checkout runs its sources as
 * they are, so nothing else needs this.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { oldestBrowsers } from "./browsers.ts";
import { type Manifest, manifestOf, packageNames } from "./manifests.ts";

const root = join(import.meta.dirname, "..");
const workspace = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
const server = join(root, "dist/tidings");
const client = join(root, "dist/tidings-client");

rmSync(join(root, "dist"), { recursive: true, force: true });
for (const project of ["tsconfig.client.json", "tsconfig.build.json"]) {
  execFileSync(process.execPath, [join(root, "node_modules/.bin/tsc"), "-p", project], { cwd: root, stdio: "inherit" });
}

for (const name of packageNames) {
  const folder = join(root, "dist", name);
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifestOf(name, workspace), null, 2)}\n`);
  cpSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  cpSync(join(root, "CHANGELOG.md"), join(folder, "CHANGELOG.md"));
}
cpSync(join(root, "src/client/README.md"), join(client, "README.md"));
cpSync(join(root, "README.md"), join(server, "README.md"));

for (const file of ["descriptor.binpb", "openapi.json"]) cpSync(join(root, "gen", file), join(server, "lib/gen", file));
cpSync(join(root, "src/adapters/redis/lua"), join(server, "lib/src/adapters/redis/lua"), { recursive: true });
cpSync(join(root, "gen/proto"), join(server, "proto"), { recursive: true });
// What they import, for a protoc without it. In a folder of its own, because code for it comes with every runtime.
for (const name of ["duration", "struct", "timestamp"]) {
  const file = `google/protobuf/${name}.proto`;
  cpSync(join(root, "node_modules/google-proto-files", file), join(server, "include", file));
}
for (const file of ["index.html", "style.css"]) cpSync(join(root, "demo", file), join(server, "lib/demo", file));
buildSync({
  entryPoints: [join(root, "demo/page.ts")],
  outfile: join(server, "lib/demo/page.js"),
  bundle: true,
  format: "esm",
  target: oldestBrowsers,
  minify: true,
});
chmodSync(join(server, "lib/src/cli/main.js"), 0o755);
