import { test } from "vitest";
import { killRounds } from "../support/store-kill.ts";
import { size } from "./size.ts";

const kills = size(20, 100);

test(`a store that is killed at full load has all that it answered, ${kills} times over`, async () => {
  await killRounds(kills);
});
