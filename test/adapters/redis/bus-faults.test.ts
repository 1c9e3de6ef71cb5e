import { Redis } from "ioredis";
import type { Logger } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RedisBus } from "../../../src/adapters/redis/bus.ts";
import { encodeHeartbeat, encodeNotices } from "../../../src/adapters/redis/codec.ts";
import type { BusEvent } from "../../../src/ports/bus.ts";
import { Cable } from "../../support/cable.ts";
import { FakeClock } from "../../support/clock.ts";
import { startTestCore, type TestCore, toUser, userOf } from "../../support/core.ts";
import { SharedStore } from "../../support/nodes.ts";
import type { Reader } from "../../support/reader.ts";
import { randomPrefix, redisServer, startRedis, type TestRedis } from "../../support/redis.ts";
import { describeWith } from "../../support/require.ts";

const ann = userOf("acme");
const shards = 32;
/** The promised bound is 5 s. */
const soon = { timeout: 5000, interval: 10 };

describeWith(redisServer)("RedisBus over a Redis that fails", () => {
  let redis: TestRedis;
  let prefix: string;
  let ends: (() => unknown)[];
  beforeEach(async () => {
    redis = await startRedis();
    prefix = randomPrefix();
    ends = [];
  });
  afterEach(async () => {
    for (const end of ends.reverse()) await end();
    await redis.stop();
  });

  async function startBus(options: { url?: string; logger?: Logger } = {}): Promise<RedisBus> {
    const bus = new RedisBus({ url: redis.url, prefix, ...options });
    ends.push(() => bus.close());
    await connected(bus);
    return bus;
  }
  const connected = (bus: RedisBus, is = true) =>
    expect.poll(() => bus.isConnected, { timeout: 10_000, interval: 5 }).toBe(is);

  /** Starts two nodes on one store. The near one reaches Redis through the cable. */
  async function startNodes() {
    const store = new SharedStore();
    const clock = new FakeClock();
    const timer = setInterval(() => void clock.advance(20), 20);
    ends.push(() => clearInterval(timer));
    const cable = new Cable(redis.port);
    ends.push(() => cable.close());
    const nearBus = await startBus({ url: `redis://127.0.0.1:${await cable.open()}` });
    const farBus = await startBus();
    const [near, far] = await Promise.all(
      [nearBus, farBus].map((bus) => startTestCore({ clock, store, bus })) as [Promise<TestCore>, Promise<TestCore>],
    );
    ends.push(() => Promise.all([near.close(), far.close()]));
    return { near, far, nearBus, farBus, cable };
  }

  async function reaches(reader: Reader, messageId: string): Promise<void> {
    await expect.poll(() => reader.messages.map(({ id }) => id), soon).toContain(messageId);
  }

  test("reports a lost message even when it was the last one before a silence", async () => {
    const lost = listen(await startBus());
    const other = new Redis({ port: redis.port, protocol: 2 });
    ends.push(() => other.disconnect());
    const sendHeartbeat = (n: number) => {
      const sent = Array.from({ length: shards }, (_, shard) => (shard === 5 ? n : 0));
      return other.publish(`${prefix}:bus:beat`, encodeHeartbeat({ node: "other", leaves: false, sent }));
    };
    await sendHeartbeat(0);
    await other.publish(`${prefix}:bus:5`, encodeNotices({ node: "other", shard: 5, n: 1 }, []));
    await sendHeartbeat(1);
    lost.length = 0;
    const timer = setInterval(() => void sendHeartbeat(2), 1000);
    ends.push(() => clearInterval(timer));
    await expect.poll(() => lost.filter(({ certain }) => certain), soon).toHaveLength(1);
    const touched = lost.filter(({ certain }) => certain).map(({ touches }) => shareOf(touches))[0] ?? 0;
    // One of 32 shards.
    expect(touched).toBeGreaterThan(0.005);
    expect(touched).toBeLessThan(0.08);
  });

  test("reports what was sent before it started as an uncertain loss only", async () => {
    const early = await startBus();
    const feeds = Array.from({ length: 200 }, (_, index) => ({ tenant: "t", name: `user/${index}` }));
    const recall = () => early.publish(feeds.map((feed) => ({ type: "recall", feed, ids: [] })));
    recall();
    await expect.poll(() => early.counts.sent, soon).toBeGreaterThan(shards);
    const late = await startBus();
    const lost = listen(late);
    recall();
    await expect.poll(() => late.counts.received, soon).toBeGreaterThan(0);
    // The check that reports what may have been missed has run.
    await expect.poll(() => lost.length, soon).toBeGreaterThan(0);
    expect(lost.filter(({ certain }) => certain)).toEqual([]);
    expect(late.counts.lost).toBe(0);
  });

  test("delivers by polling while Redis is dead, and through Redis once that is back, empty", async () => {
    const { near, far, nearBus, farBus } = await startNodes();
    const reader = await far.live(ann);
    await reaches(reader, (await near.publish("acme", toUser("ann"))).messageId);
    await redis.kill();
    await connected(farBus, false);
    for (let index = 0; index < 3; index++) {
      await reaches(reader, (await near.publish("acme", toUser("ann"))).messageId);
    }
    await near.markAll(ann);
    await expect.poll(() => reader.badge.total, soon).toBe(0);
    await redis.start();
    await Promise.all([connected(nearBus), connected(farBus)]);
    const { messageId } = await near.publish("acme", toUser("ann"));
    await expect.poll(() => reader.messages.at(-1)?.id, { timeout: 1000, interval: 5 }).toBe(messageId);
    expect(reader.messages).toHaveLength(5);
  });

  test("delivers within 5 s while Redis is frozen, and nothing twice once it goes on", async () => {
    const { near, far, farBus } = await startNodes();
    const reader = await far.live(ann);
    const thaw = redis.freeze();
    await reaches(reader, (await near.publish("acme", toUser("ann"))).messageId);
    thaw();
    await connected(farBus);
    await redis.call("CLIENT", "PAUSE", "4000", "ALL");
    await reaches(reader, (await near.publish("acme", toUser("ann"))).messageId);
    await reaches(reader, (await near.publish("acme", toUser("ann"))).messageId);
    await connected(farBus);
    expect(reader.messages.map(({ position }) => position?.seq)).toEqual(["1", "2", "3"]);
  });

  test("polls for the messages of a node that alone is cut off from Redis and goes on storing", async () => {
    const { near, far, nearBus, farBus, cable } = await startNodes();
    const reader = await far.live(ann);
    await reaches(reader, (await near.publish("acme", toUser("ann"))).messageId);
    cable.pull();
    await connected(nearBus, false);
    await reaches(reader, (await near.publish("acme", toUser("ann"))).messageId);
    await reaches(reader, (await near.publish("acme", toUser("ann"))).messageId);
    expect(farBus.isConnected).toBe(true);
    expect(nearBus.counts.dropped).toBeGreaterThan(0);
    // What the far node publishes reaches the node that is cut off, too.
    const cutOff = await near.live(ann);
    await reaches(cutOff, (await far.publish("acme", toUser("ann"))).messageId);
    cable.plug();
    await connected(nearBus);
    await expect.poll(() => farBus.counts.lost, soon).toBeGreaterThan(0);
  });

  test("drops messages beyond a bound when Redis takes none, and other nodes report the loss", async () => {
    const [bus, other] = [await startBus(), await startBus()];
    const lost = listen(other);
    const thaw = redis.freeze();
    const body = new Uint8Array(64 * 1024);
    for (let tick = 0; tick < 10; tick++) {
      for (let index = 0; index < 64; index++) {
        bus.publish([{ type: "live", feed: { tenant: "t", name: `user/${index}` }, body }]);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    const { dropped } = bus.counts;
    expect(dropped).toBeGreaterThan(100);
    thaw();
    await expect.poll(() => lost.some(({ certain }) => certain), { timeout: 10_000 }).toBe(true);
  });

  test("logs one line for each change of state, whatever the traffic", async () => {
    const lines: string[] = [];
    const write = (_: unknown, sentence?: string) => void lines.push(sentence ?? String(_));
    const bus = await startBus({ logger: { info: write, warn: write } as unknown as Logger });
    await redis.kill();
    await connected(bus, false);
    for (let index = 0; index < 100; index++) {
      bus.publish([{ type: "recall", feed: { tenant: "t", name: "tenant" }, ids: ["x"] }]);
    }
    await redis.start();
    await connected(bus);
    expect(lines).toEqual([
      "the bus is connected to Redis",
      "the bus has lost Redis; polling the store for messages of other nodes",
      "the bus is connected to Redis",
    ]);
  });

  test("reports a message that it cannot read as lost", async () => {
    const bus = await startBus();
    const lost = listen(bus);
    lost.length = 0;
    await redis.call("PUBLISH", `${prefix}:bus:3`, "\u0002 from another version");
    await expect.poll(() => lost.length, soon).toBeGreaterThan(0);
    expect(bus.isConnected).toBe(true);
  });
});

type Lost = Extract<BusEvent, { type: "lost" }>;

function listen(bus: RedisBus): Lost[] {
  const lost: Lost[] = [];
  bus.subscribe((event) => event.type === "lost" && lost.push(event));
  return lost;
}

/** Returns the share of a thousand feeds that a LostNotice touches. */
function shareOf(touches: Lost["touches"]): number {
  const names = Array.from({ length: 1000 }, (_, index) => `user/${index}`);
  return names.filter((name) => touches({ tenant: "t", name })).length / names.length;
}
