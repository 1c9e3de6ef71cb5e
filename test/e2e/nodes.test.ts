/** Several nodes on one store, as an operator runs them: `serve --store --bus --workers`. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectTidings } from "../../src/client/index.ts";
import { Kind, type OnlineCountRequestSchema, PushService } from "../../src/gen.ts";
import { ServerProcess, tokenFor } from "../faults/server-process.ts";
import { redisServer, sharedRedis, startRedis } from "../support/redis.ts";
import { describeWith } from "../support/require.ts";
import { anyMongo, type MongoBench, openBench } from "../support/store-mongo.ts";

const tenant = "acme";

/** Publishes to the tenant over a new connection, so that calls reach all workers. */
async function publish(baseUrl: string, title: string): Promise<void> {
  const headers = { authorization: `Bearer ${await tokenFor({ sub: "backend", tenant, role: "service" })}` };
  const transport = createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions: { agent: false } });
  await createClient(PushService, transport).publish(
    { audience: { to: { case: "tenant", value: true } }, message: { kind: Kind.NOTIFICATION, title } },
    { headers },
  );
}

/** Opens a client that collects the titles of its messages. */
async function follow(url: string, sub: string) {
  const token = await tokenFor({ sub, tenant, role: "user" });
  const tidings = connectTidings({ url, token: async () => token });
  const titles: string[] = [];
  tidings.on("message", ({ title }) => void titles.push(title));
  await expect.poll(() => tidings.state.value, { timeout: 15_000 }).toBe("live");
  return { tidings, titles };
}

const titles = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => `message ${from + index}`);

describeWith(anyMongo, redisServer)("On MongoDB and Redis,", () => {
  let mongo: MongoBench;
  let redis: { readonly url: string; stop(): Promise<void> };
  beforeAll(async () => {
    mongo = await openBench();
    redis = await sharedRedis();
  });
  afterAll(async () => {
    await redis?.stop();
    await mongo?.close();
  });

  test("two workers are one service: for streams and counts, when one is killed, and when both stop", {
    timeout: 60_000,
  }, async () => {
    const flags = { store: mongo.url(), bus: redis.url, workers: "2", drain: "1s", "log-level": "error" };
    const server = new ServerProcess(flags);
    const followers: Awaited<ReturnType<typeof follow>>[] = [];
    try {
      const url = await server.ready;
      // Connections alternate between the workers, so that each has some of the streams.
      for (const sub of ["ann", "bob", "cid", "dan"]) followers.push(await follow(url, sub));
      for (const title of titles(0, 10)) await publish(url, title);
      for (const { titles: got } of followers) await expect.poll(() => got, { timeout: 10_000 }).toEqual(titles(0, 10));
      const online = () => followers[0]?.tidings.onlineCount();
      await expect.poll(online, { timeout: 10_000 }).toMatchObject({ users: 4, connections: 4 });

      const [victim = 0] = server.children;
      process.kill(victim, "SIGKILL");
      for (const title of titles(10, 20)) await publish(url, title).catch(() => publish(url, title));
      for (const { titles: got } of followers) {
        await expect.poll(() => [...new Set(got)], { timeout: 20_000 }).toEqual(titles(0, 20));
      }
      expect(server.log.split("\n").filter((line) => line !== "")).toEqual([
        expect.stringContaining("a worker died; starting a replacement"),
      ]);
      expect(await server.stop()).toBe(0);
    } finally {
      for (const { tidings } of followers) tidings.close();
      await server.kill();
    }
  });

  test("counts have the time at which they were true, while Redis is down", { timeout: 60_000 }, async () => {
    const own = await startRedis();
    const server = new ServerProcess({ store: mongo.url(), bus: own.url, drain: "0ms", "log-level": "error" });
    const followers: Awaited<ReturnType<typeof follow>>[] = [];
    try {
      const url = await server.ready;
      const count = async (request: MessageInitShape<typeof OnlineCountRequestSchema>) => {
        const headers = { authorization: `Bearer ${await tokenFor({ sub: "backend", tenant, role: "service" })}` };
        const client = createClient(PushService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
        const { users, asOfTime } = await client.onlineCount(request, { headers });
        return { users, asOf: asOfTime ? timestampMs(asOfTime) : 0 };
      };
      const all = {};
      const some = { scope: { case: "users" as const, value: { userIds: ["ann", "bob", "cid"] } } };
      const room = { scope: { case: "roomId" as const, value: "desk" } };
      const counts = async () => ({ all: await count(all), some: await count(some), room: await count(room) });
      followers.push(await follow(url, "ann"), await follow(url, "bob"));
      const began = Date.now();
      const now = { users: 2, asOf: expect.toSatisfy((time: number) => time >= began) };
      expect(await counts()).toEqual({ all: now, some: now, room: { ...now, users: 0 } });
      await own.kill();
      const killed = Date.now();
      await expect.poll(async () => (await count(all)).asOf, { timeout: 10_000 }).toBeLessThanOrEqual(killed);
      followers.push(await follow(url, "cid"));
      const then = { users: 3, asOf: expect.toSatisfy((time: number) => 0 < time && time <= killed) };
      expect(await counts()).toEqual({ all: then, some: then, room: { ...then, users: 0 } });
      await own.start();
      const back = Date.now();
      await expect.poll(async () => (await count(all)).asOf, { timeout: 10_000 }).toBeGreaterThan(back);
      expect((await count(all)).users).toBe(3);
    } finally {
      for (const { tidings } of followers) tidings.close();
      await server.kill();
      await own.stop();
    }
  });

  test("the log has no password that Redis refused", { timeout: 30_000 }, async () => {
    const guarded = await startRedis();
    await guarded.call("CONFIG", "SET", "requirepass", "the-right-one");
    const bus = `redis://:wr0ng-secret@127.0.0.1:${guarded.port}`;
    const server = new ServerProcess({ store: mongo.url(), bus, drain: "0ms", "log-level": "trace" });
    try {
      await server.ready.catch(() => {});
      await expect.poll(() => server.log, { timeout: 10_000 }).toMatch(/redis/i);
      await server.stop();
      expect(server.log).not.toContain("wr0ng-secret");
    } finally {
      await server.kill();
      await guarded.stop();
    }
  });
});

test("A store that cannot be reached is reported in one sentence, without its password", {
  timeout: 30_000,
}, async () => {
  const store = "mongodb://user:s3cret-word@127.0.0.1:1/tidings";
  const server = new ServerProcess({ store, bus: "redis://:an0ther-word@127.0.0.1:1", workers: "2" });
  await expect(server.ready).rejects.toThrow("the server ended");
  expect(await server.stop()).toBe(1);
  expect(server.log).toMatch(/^error: .+$/m);
  expect(server.log).not.toMatch(/s3cret-word|an0ther-word/);
});
