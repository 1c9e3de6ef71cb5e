import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { RedisBus } from "../../../src/adapters/redis/bus.ts";
import { RedisPresence } from "../../../src/adapters/redis/presence.ts";
import type { Connection } from "../../../src/ports/presence.ts";
import { busContract } from "../../../src/testing/bus.ts";
import { presenceContract } from "../../../src/testing/presence.ts";
import { randomPrefix, redisServer } from "../../support/redis.ts";
import { type RedisGroup, startCluster, startSentinel } from "../../support/redis-group.ts";
import { describeWith } from "../../support/require.ts";

const groups = [
  { kind: "Sentinel", start: startSentinel },
  { kind: "a Cluster", start: startCluster },
];
/** A replica takes over within three or four seconds. */
const soon = { timeout: 10_000, interval: 20 };

describeWith(redisServer).each(groups)("Over $kind,", ({ start }) => {
  let group: RedisGroup;
  beforeAll(async () => {
    group = await start();
  });
  afterAll(() => group.stop());

  busContract("RedisBus", async () => {
    const prefix = randomPrefix();
    const make = () => new RedisBus({ url: group.url, prefix });
    const buses = [make(), make(), make()] as const;
    for (const bus of buses) await expect.poll(() => bus.isConnected, soon).toBe(true);
    return { buses, close: async () => void (await Promise.all(buses.map((bus) => bus.close()))) };
  });

  const open = async () => {
    const prefix = randomPrefix();
    const make = () => new RedisPresence({ url: group.url, prefix });
    const nodes = [make(), make(), make()] as const;
    for (const node of nodes) await expect.poll(() => node.isConnected, soon).toBe(true);
    return { nodes, close: async () => void (await Promise.all(nodes.map((node) => node.close()))) };
  };
  // Fewer random scripts than on one server: they are the same, and slower here.
  presenceContract("RedisPresence", open, { scripts: 20 });
});

describeWith(redisServer).each(groups)("When a master of $kind dies,", ({ start }) => {
  let group: RedisGroup;
  let ends: { close(): Promise<void> }[];
  beforeEach(async () => {
    group = await start();
    ends = [];
  });
  afterEach(async () => {
    await Promise.all(ends.map((each) => each.close()));
    await group.stop();
  });

  test("nodes receive from each other again through its replica", async () => {
    const prefix = randomPrefix();
    const [one, two] = [new RedisBus({ url: group.url, prefix }), new RedisBus({ url: group.url, prefix })];
    ends.push(one, two);
    for (const bus of [one, two]) await expect.poll(() => bus.isConnected, soon).toBe(true);
    await group.master.kill();
    for (const [from, to] of [
      [one, two],
      [two, one],
    ] as const) {
      // Messages sent during the failover are lost, and in production read from the store: here, publish until one
      // arrives.
      await expect.poll(() => reaches(from, to), soon).toBe(true);
    }
    for (const bus of [one, two]) await expect.poll(() => bus.isConnected, soon).toBe(true);
  });

  test("every connection is counted again, whatever its replica had received", async () => {
    const prefix = randomPrefix();
    const make = () => new RedisPresence({ url: group.url, prefix });
    const [one, two] = [make(), make()];
    ends.push(one, two);
    for (const node of [one, two]) await expect.poll(() => node.isConnected, soon).toBe(true);
    // Their keys are spread over all servers.
    const tenants = Array.from({ length: 12 }, (_, index) => `tenant-${index}`);
    for (const tenant of tenants) await one.enter(connection(tenant, "ann"));
    await group.master.kill();
    for (const tenant of tenants) await two.enter(connection(tenant, "bob"));
    for (const node of [one, two]) {
      for (const tenant of tenants) {
        await expect.poll(() => node.count(tenant), soon).toEqual({ users: 2, connections: 2 });
      }
    }
  });
});

/** Returns whether a notice published now on one bus arrives at the other. */
async function reaches(from: RedisBus, to: RedisBus): Promise<boolean> {
  let arrived = false;
  const end = to.subscribe(({ type }) => {
    arrived ||= type === "recall";
  });
  from.publish([{ type: "recall", feed: { tenant: "t", name: "user/ann" }, ids: ["1"] }]);
  await expect
    .poll(() => arrived, { timeout: 500, interval: 5 })
    .toBe(true)
    .catch(() => {});
  end();
  return arrived;
}

function connection(tenant: string, user: string): Connection {
  return { id: `${tenant}-${user}`, tenant, user };
}
