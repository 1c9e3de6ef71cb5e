import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RedisLink } from "../../../src/adapters/redis/link.ts";
import { redisProgram, startRedis, type TestRedis } from "../../support/redis.ts";

describe.skipIf(!redisProgram)("a link to Redis", () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  test("is up again when one of its connections was given up for good", async () => {
    const changes: string[] = [];
    const [up, down] = [() => void changes.push("up"), () => void changes.push("down")];
    const link = new RedisLink(redis.url, ["channel"], { message() {}, up, down });
    await expect.poll(() => changes, { interval: 5 }).toEqual(["up"]);
    // Not to connect again: what ioredis does by itself when Sentinel changes its master at the wrong moment.
    link.commands.disconnect();
    await expect.poll(() => changes, { interval: 5 }).toEqual(["up", "down", "up"]);
    expect(await link.commands.ping()).toBe("PONG");
    const ended = new Promise((resolve) => link.commands.once("end", resolve));
    link.close();
    await ended;
    expect(link.commands.status).toBe("end");
  });
});
