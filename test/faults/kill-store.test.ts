import { test } from "vitest";
import { killRounds } from "../support/store-kill.ts";
import { report } from "./report.ts";
import { times } from "./size.ts";

const kills = times(20, 100);

test(`The store's process, killed ${kills} times at full load, keeps every answered append`, async () => {
  await killRounds(kills);
  report("kill-store", { "kills at full load": kills });
});
