/**
 * Runs the main path of the demo on Node, Bun and Deno, with the built packages: `npm run test:runtimes`. Bun and Deno come
 * from npm; where they cannot be fetched, it says so and goes on, unless TIDINGS_TEST_REQUIRE_ALL is set.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const journey = "test/runtimes/journey.ts";
const npx = ["npx", "--yes"];
const denoFlags = ["run", "--allow-all", "--no-check", "--node-modules-dir=manual"];
const runtimes: readonly { name: string; command: readonly string[]; flags: readonly string[] }[] = [
  { name: "Node", command: [process.execPath], flags: [] },
  // The oldest that `engines` of package.json allows.
  { name: "Node", command: [...npx, "node@22.16.0"], flags: ["--experimental-strip-types"] },
  { name: "Bun", command: [...npx, "bun@1.4.5"], flags: ["run"] },
  { name: "Deno", command: [...npx, "deno@2.9.6"], flags: denoFlags },
];

function run([program = "", ...args]: readonly string[], timeout: number) {
  return spawnSync(program, args, { cwd: root, encoding: "utf8", timeout, env: { ...process.env, NO_COLOR: "1" } });
}

const build = run([process.execPath, "scripts/build.ts"], 300_000);
if (build.status !== 0) throw new Error(`the build failed:\n${build.stdout}${build.stderr}`);

for (const { name, command, flags } of runtimes) {
  const version = run([...command, "--version"], 300_000);
  if (version.status !== 0) {
    const reason = version.stderr.trim().split("\n")[0] || version.error?.message || "no answer";
    console.log(`${name}: skipped, npx cannot fetch it: ${reason}`);
    if (process.env.TIDINGS_TEST_REQUIRE_ALL) process.exitCode = 1;
    continue;
  }
  const { status, stdout, stderr } = run([...command, ...flags, journey], 120_000);
  const passed = status === 0 && stdout.trim().endsWith("ok");
  console.log(
    `${name} ${/\d+\.\d+\.\d+/.exec(version.stdout)?.[0]}: ${passed ? "passed" : `failed\n${stdout}${stderr}`}`,
  );
  if (!passed) process.exitCode = 1;
}
