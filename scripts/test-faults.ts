/** `npm run test:faults [-- --long] [-- --seed N]`: what is left goes to vitest. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  options: { long: { type: "boolean", default: false }, seed: { type: "string" } },
  allowPositionals: true,
});
const vitest = join(import.meta.dirname, "../node_modules/vitest/vitest.mjs");
const env = {
  ...process.env,
  ...(values.long ? { TIDINGS_FAULTS_LONG: "1" } : {}),
  ...(values.seed === undefined ? {} : { TIDINGS_FAULTS_SEED: values.seed }),
};
const args = ["run", "--config", "test/faults/vitest.config.ts", ...positionals];
const { status } = spawnSync(process.execPath, [vitest, ...args], { stdio: "inherit", env });
process.exitCode = status ?? 1;
