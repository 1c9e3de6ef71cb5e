import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RedisPresence } from "../../../src/adapters/redis/presence.ts";
import { PresenceCommands } from "../../../src/adapters/redis/presence-commands.ts";
import { reasonOf } from "../../../src/errors.ts";
import type { Connection, JoinMode, Membership, OnlineTotals } from "../../../src/ports/presence.ts";
import { Cable } from "../../support/cable.ts";
import { randomPrefix, redisServer, startRedis, type TestRedis } from "../../support/redis.ts";
import { describeWith } from "../../support/require.ts";
import { root } from "../../support/run.ts";

const child = join(root, "test/support/presence-child.ts");
const leaseMs = 1500;

describeWith(redisServer)("RedisPresence over a Redis that fails", () => {
  let redis: TestRedis;
  let prefix: string;
  let opened: { close(): unknown }[];
  beforeEach(async () => {
    redis = await startRedis();
    prefix = randomPrefix();
    opened = [];
  });
  afterEach(async () => {
    await Promise.all(opened.map((each) => each.close()));
    await redis.stop();
  });

  async function start(options: { url?: string; leaseMs?: number } = {}): Promise<RedisPresence> {
    const node = new RedisPresence({ url: redis.url, prefix, ...options });
    opened.push(node);
    await connected(node);
    return node;
  }
  const connected = (node: RedisPresence, is = true) =>
    expect.poll(() => node.isConnected, { timeout: 10_000, interval: 10 }).toBe(is);
  const counts = (node: RedisPresence, expected: OnlineTotals, timeout = 10_000, room?: string) =>
    expect.poll(() => node.count("t", room), { timeout, interval: 20 }).toEqual(expected);

  test("estimates counts from the last known ones and its own changes, and fails no stream", async () => {
    const [one, two] = [await start(), await start()];
    await one.enter(connection("1", "ann"));
    await two.enter(connection("2", "bob"));
    await counts(one, { users: 2, connections: 2 });
    const before = Date.now();
    await redis.kill();
    await connected(one, false);
    await one.enter(connection("3", "cyd"));
    await one.enter(connection("4", "cyd"));
    const { asOf, ...totals } = await one.count("t");
    expect(totals).toEqual({ users: 3, connections: 4 });
    expect(asOf).toBeLessThanOrEqual(before);
    expect(await one.connections("t", ["ann", "bob", "cyd"])).toEqual([1, 0, 2]);
    expect((await one.count(undefined)).asOf).toBeDefined();
    await one.leave(connection("1", "ann"));
    expect(await one.count("t")).toMatchObject({ users: 2, connections: 3 });
    // ANY needs no answer of Redis; FIRST and LAST do.
    expect(await one.join(membership("3", "cyd", "any"))).toBe(true);
    for (const mode of ["first", "last"] as const) {
      const refused = await one.join(membership("4", "cyd", mode)).catch((error: unknown) => error);
      expect(refused instanceof ConnectError && reasonOf(refused)).toBe("ROOMS_UNAVAILABLE");
    }
    await redis.start();
    await connected(one);
    await connected(two);
    for (const node of [one, two]) {
      await counts(node, { users: 2, connections: 3 });
      await counts(node, { users: 1, connections: 1 }, 10_000, "desk");
    }
  });

  test("restores its members in a Redis that was emptied without notice", async () => {
    const nodes = [await start({ leaseMs }), await start({ leaseMs })] as const;
    await nodes[0].enter(connection("1", "ann"));
    await nodes[1].enter(connection("2", "bob"));
    await nodes[0].join(membership("1", "ann", "first"));
    await redis.call("FLUSHALL");
    for (const node of nodes) await counts(node, { users: 2, connections: 2 }, leaseMs);
    await counts(nodes[1], { users: 1, connections: 1 }, leaseMs, "desk");
    expect(await nodes[1].join(membership("2", "bob", "first"))).toBe(false);
    expect(await nodes[1].connections("t", ["ann", "bob"])).toEqual([1, 1]);
  });

  test("sends connections that enter or leave during its first round as soon as it is connected", async () => {
    const other = await start();
    await other.enter(connection("1", "ann"));
    const node = new RedisPresence({ url: redis.url, prefix });
    opened.push(node);
    await node.enter(connection("2", "bob"));
    await node.join(membership("2", "bob", "any"));
    await node.enter(connection("3", "cyd"));
    // The first round has taken its list of members when it registers their tenants.
    const { register } = PresenceCommands.prototype;
    const registers = vi.spyOn(PresenceCommands.prototype, "register");
    registers.mockImplementationOnce(async function (this: PresenceCommands, tenants) {
      await register.call(this, tenants);
      expect(node.isConnected).toBe(false);
      await node.enter(connection("4", "dan"));
      await node.leave(connection("3", "cyd"));
    });
    await connected(node);
    registers.mockRestore();
    // The next full round is due after 8 s.
    await counts(other, { users: 3, connections: 3 }, 2_000);
    expect(await other.connections("t", ["ann", "bob", "cyd", "dan"])).toEqual([1, 1, 0, 1]);
  });

  test("does not wait for a Redis that is frozen, and counts exactly once it goes on", async () => {
    const [one, two] = [await start(), await start()];
    await one.enter(connection("1", "ann"));
    const thaw = redis.freeze();
    const began = performance.now();
    await one.enter(connection("2", "bob"));
    await one.leave(connection("1", "ann"));
    expect(await one.count("t")).toMatchObject({ users: 1, connections: 1 });
    expect(performance.now() - began).toBeLessThan(2000);
    thaw();
    await connected(one);
    for (const node of [one, two]) await counts(node, { users: 1, connections: 1 });
  });

  test("removes the member of a FIRST that timed out and that Redis executed late", async () => {
    const [one, two] = [await start(), await start()];
    await one.enter(connection("1", "ann"));
    await redis.call("CLIENT", "PAUSE", "1500", "ALL");
    const late = await one.join(membership("1", "ann", "first")).catch((error: unknown) => error);
    expect(late).toBeInstanceOf(ConnectError);
    await connected(one);
    await connected(two);
    await counts(two, { users: 0, connections: 0 }, 10_000, "desk");
    expect(await two.join(membership("2", "bob", "first"))).toBe(true);
  });

  test("counts the connections of a killed node no longer than its lease, and frees its room", async () => {
    const node = await start({ leaseMs });
    await node.enter(connection("own", "user-7"));
    const process = spawn("node", [child, redis.url, prefix, `${leaseMs}`, "1000"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    opened.push({ close: () => process.kill("SIGKILL") });
    await once(process.stdout, "data");
    expect(await node.count("t")).toEqual({ users: 1000, connections: 1001 });
    expect(await node.join(membership("own", "user-7", "first"))).toBe(false);
    const seen: string[] = [];
    node.watch((change) => seen.push(change.type));
    process.kill("SIGKILL");
    await once(process, "exit");
    await counts(node, { users: 1, connections: 1 }, leaseMs + 500);
    expect(await node.connections("t", ["user-7", "user-8"])).toEqual([1, 0]);
    // The lease of the room is another one, and may end a moment later.
    await expect.poll(() => node.join(membership("own", "user-7", "first")), { timeout: leaseMs }).toBe(true);
    await expect.poll(() => seen, { timeout: leaseMs }).toContain("count");
  });

  test("stops counting the connections of a node that shuts down at once", async () => {
    const node = await start();
    const process = spawn("node", [child, redis.url, prefix, "27000", "1000"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    opened.push({ close: () => process.kill("SIGKILL") });
    await once(process.stdout, "data");
    process.kill("SIGTERM");
    expect(await once(process, "exit")).toEqual([0, null]);
    expect(await node.count("t")).toEqual({ users: 0, connections: 0 });
  });

  test("kicks a member that was cut off while another one took the room", async () => {
    const cable = new Cable(redis.port);
    opened.push(cable);
    const away = await start({ url: `redis://127.0.0.1:${await cable.open()}`, leaseMs });
    const here = await start({ leaseMs });
    await away.join(membership("1", "ann", "first"));
    const kicked: string[] = [];
    away.watch((change) => change.type === "kicked" && kicked.push(`${change.connection} ${change.room}`));
    cable.pull();
    await expect
      .poll(() => here.join(membership("2", "bob", "first")), { timeout: 2 * leaseMs, interval: 100 })
      .toBe(true);
    cable.plug();
    await expect.poll(() => kicked, { timeout: 5000 }).toEqual(["1 desk"]);
    await counts(here, { users: 1, connections: 1 }, 1000, "desk");
  });

  test("kicks a member whose node did not receive the notice", async () => {
    const cable = new Cable(redis.port);
    opened.push(cable);
    const away = await start({ url: `redis://127.0.0.1:${await cable.open()}` });
    const here = await start();
    await away.join(membership("1", "ann", "any"));
    const kicked: string[] = [];
    away.watch((change) => change.type === "kicked" && kicked.push(change.connection));
    cable.pull();
    expect(await here.join(membership("2", "bob", "last"))).toBe(true);
    cable.plug();
    await expect.poll(() => kicked, { timeout: 5000 }).toEqual(["1"]);
    await counts(here, { users: 1, connections: 1 }, 1000, "desk");
  });
});

function connection(id: string, user: string): Connection {
  return { id, tenant: "t", user };
}

function membership(id: string, user: string, mode: JoinMode): Membership {
  return { connection: connection(id, user), room: "desk", mode, instance: `page-${id}` };
}
