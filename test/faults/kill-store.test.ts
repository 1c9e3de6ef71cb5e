import { test } from "vitest";
import { killRounds } from "../support/store-kill.ts";
import { report } from "./report.ts";
import { times } from "./size.ts";

const kills = times(20, 100);

test(`a store that is killed at full load has all that it answered, ${kills} times over`, async () => {
  await killRounds(kills);
  report("kill-store", { "kills at full load": kills });
});
