import type { Logger } from "pino";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RedisPresence } from "../../../src/adapters/redis/presence.ts";
import { randomPrefix, redisServer, startRedis, type TestRedis } from "../../support/redis.ts";
import { describeWith } from "../../support/require.ts";

describeWith(redisServer)("RedisPresence", () => {
  let redis: TestRedis;
  let presence: RedisPresence | undefined;
  beforeEach(async () => {
    redis = await startRedis();
  });
  afterEach(async () => {
    await presence?.close();
    await redis.stop();
  });

  /** Connects with a logger, and returns what it has logged once `sentence` is among it. */
  async function logged(sentence: RegExp, login = ""): Promise<{ warnings: unknown[][]; infos: unknown[][] }> {
    const log = { warn: vi.fn(), info: vi.fn() };
    presence = new RedisPresence({
      url: `redis://${login}127.0.0.1:${redis.port}`,
      prefix: randomPrefix(),
      logger: log as Pick<Logger, "warn" | "info"> as Logger,
    });
    await expect.poll(() => [...log.warn.mock.calls, ...log.info.mock.calls].flat().join("\n")).toMatch(sentence);
    return { warnings: log.warn.mock.calls, infos: log.info.mock.calls };
  }

  test("warns of a Redis that may evict keys, and names its policy", async () => {
    await redis.call("CONFIG", "SET", "maxmemory-policy", "volatile-lru");
    const { warnings } = await logged(/maxmemory-policy volatile-lru/);
    expect(warnings).toEqual([[{ policy: "volatile-lru", maxMemory: 0 }, expect.stringContaining("noeviction")]]);
  });

  test("warns of eviction where the server forbids CONFIG", async () => {
    await redis.call("CONFIG", "SET", "maxmemory-policy", "allkeys-random");
    await redis.call("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-config");
    await logged(/maxmemory-policy allkeys-random/, "app:pw@");
  });

  test("asks the operator to check the policy where the server forbids INFO", async () => {
    await redis.call("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-info");
    const { warnings } = await logged(/does not tell its maxmemory-policy/, "app:pw@");
    expect(warnings).toEqual([]);
  });

  test("has no warning for a Redis that evicts nothing", async () => {
    const { warnings } = await logged(/presence is connected/);
    // The answer of this command comes after that of the one that asks for the policy.
    await presence?.count("t");
    expect(warnings).toEqual([]);
  });
});
