import { afterAll, beforeAll, expect, test } from "vitest";
import { RedisLink } from "../../../src/adapters/redis/link.ts";
import { redisServer, startRedis, type TestRedis } from "../../support/redis.ts";
import { describeWith } from "../../support/require.ts";

describeWith(redisServer)("RedisLink", () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  test("is up again after ioredis has given up one of its connections", async () => {
    const changes: string[] = [];
    const [up, down] = [() => void changes.push("up"), () => void changes.push("down")];
    const link = new RedisLink(redis.url, ["channel"], { message() {}, up, down });
    await expect.poll(() => changes, { interval: 5 }).toEqual(["up"]);
    // After this ioredis does not reconnect, as when Sentinel changes the master at the wrong moment.
    link.commands.disconnect();
    await expect.poll(() => changes, { interval: 5 }).toEqual(["up", "down", "up"]);
    expect(await link.commands.ping()).toBe("PONG");
    const ended = new Promise((resolve) => link.commands.once("end", resolve));
    link.close();
    await ended;
    expect(link.commands.status).toBe("end");
  });
});
