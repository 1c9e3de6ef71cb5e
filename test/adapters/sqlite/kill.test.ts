import { test } from "vitest";
import { killRounds } from "../../support/store-kill.ts";

test("a store that is killed at full load has all that it answered, five times over", async () => {
  await killRounds(5);
});
