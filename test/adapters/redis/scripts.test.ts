import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { scripts } from "../../../src/adapters/redis/scripts.ts";
import { redisServer, startRedis } from "../../support/redis.ts";
import { testWith } from "../../support/require.ts";
import { root } from "../../support/run.ts";

test("Every Lua file but the prelude is a script of its name", () => {
  const names = readdirSync(join(root, "src/adapters/redis/lua")).map((file) => file.replace(/\.lua$/, ""));
  expect(names.filter((name) => name !== "prelude").sort()).toEqual(Object.keys(scripts).sort());
});

testWith(redisServer)("Redis compiles every Lua script, and knows it by its digest", async () => {
  const redis = await startRedis();
  try {
    for (const { text, sha1 } of Object.values(scripts)) expect(await redis.call("SCRIPT", "LOAD", text)).toBe(sha1);
  } finally {
    await redis.stop();
  }
});
