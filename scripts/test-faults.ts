/**
 * `npm run test:faults`: real processes that are killed, drained, frozen, cut off and starved.
 *
 *   npm run test:faults                                     short forms, as in CI
 *   npm run test:faults -- --long                           full length, several hours
 *   npm run test:faults -- --long --seed 7 store-cut        one file, as it was steered before
 *
 * Everything else goes to vitest: names of files, and its options.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const rest = process.argv.slice(2);
const env: NodeJS.ProcessEnv = { ...process.env };

const long = rest.indexOf("--long");
if (long !== -1) {
  rest.splice(long, 1);
  env.TIDINGS_FAULTS_LONG = "1";
}
const seed = rest.indexOf("--seed");
if (seed !== -1) {
  const [, value = ""] = rest.splice(seed, 2);
  if (!/^\d+$/.test(value)) {
    console.error("--seed: must be a whole number");
    process.exit(2);
  }
  env.TIDINGS_FAULTS_SEED = value;
}

const vitest = join(root, "node_modules/.bin/vitest");
const { status } = spawnSync(vitest, ["run", "--config", "test/faults/vitest.config.ts", ...rest], {
  cwd: root,
  env,
  stdio: "inherit",
});
process.exit(status ?? 1);
