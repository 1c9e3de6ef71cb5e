/** Rate limits of two servers on one Redis. */
import { expect } from "vitest";
import { sqliteStore } from "../../../src/adapters/sqlite/index.ts";
import { randomPrefix, redisServer, startRedis } from "../../support/redis.ts";
import { testWith } from "../../support/require.ts";
import { newTenant, startServer, type TestServer } from "../../support/server.ts";

async function publish({ url }: TestServer, token: string): Promise<number> {
  const response = await fetch(`${url}/tidings.v1.PushService/Publish`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ audience: { userId: "ann" }, message: { kind: "KIND_NOTIFICATION", title: "hello" } }),
  });
  await response.arrayBuffer();
  return response.status;
}

testWith(redisServer)(
  "Two nodes share the limit of a tenant, and apply it each by itself while Redis is away",
  async () => {
    const redis = await startRedis();
    const start = () =>
      startServer({
        store: sqliteStore({ folder: ":memory:" }),
        bus: `${redis.url}?prefix=${prefix}`,
        limits: { publishesPerTenant: { perSecond: 0.001, burst: 20 } },
      });
    const prefix = randomPrefix();
    const nodes = [await start(), await start()] as const;
    const service = (tenant: string) => nodes[0].token({ tenant, sub: "svc", role: "service" });
    try {
      const [one, two] = nodes;
      const first = await service(newTenant());
      // Once the first node shares what it spends, the second one has little left.
      await expect.poll(async () => redis.call("CLIENT", "LIST"), { interval: 20 }).toMatch(/(.*\n){8,}/);
      for (let index = 0; index < 20; index++) expect(await publish(one, first)).toBe(200);
      expect(await publish(one, first)).toBe(429);
      let allowed = 0;
      const second = async () => {
        const status = await publish(two, first);
        if (status === 200) allowed++;
        return status;
      };
      await expect.poll(second, { interval: 20 }).toBe(429);
      expect(allowed).toBeLessThan(20);

      await redis.kill();
      const away = await service(newTenant());
      for (const node of nodes) {
        for (let index = 0; index < 20; index++) expect(await publish(node, away)).toBe(200);
        expect(await publish(node, away)).toBe(429);
      }
      await redis.start();
      const back = await service(newTenant());
      await expect.poll(async () => redis.call("CLIENT", "LIST"), { interval: 20 }).toMatch(/(.*\n){8,}/);
      for (let index = 0; index < 20; index++) expect(await publish(one, back)).toBe(200);
      await expect.poll(() => publish(two, back), { interval: 20 }).toBe(429);
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
      await redis.stop();
    }
  },
);
