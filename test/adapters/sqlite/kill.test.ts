import { test } from "vitest";
import { killRounds } from "../../support/store-kill.ts";

test("SqliteStore has everything that it answered after each of five kills at full load", async () => {
  await killRounds(5);
});
