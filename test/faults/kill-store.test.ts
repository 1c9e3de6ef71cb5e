import { test } from "vitest";
import { killRounds } from "../support/store-kill.ts";

test("a store that is killed at full load has all that it answered, 100 times over", { timeout: 600_000 }, async () => {
  await killRounds(100);
});
