/** Groups of redis-servers with a failover: a master and a replica under Sentinel, or a Cluster. */
import { freePort, redisServer, TestRedis } from "./redis.ts";
import { pathOf } from "./tools.ts";

/** A running group. */
export interface RedisGroup {
  /** The URL for the adapters. */
  readonly url: string;
  /** A master with a replica, which takes over when the master dies. */
  readonly master: TestRedis;
  stop(): Promise<void>;
}

/** After this time without an answer a server counts as dead, in ms. */
const deadMs = 1_000;
const slots = 16_384;
const masters = 3;

/** Starts one Sentinel, a master and its replica. */
export async function startSentinel(): Promise<RedisGroup> {
  const master = await start();
  const replica = await start(["--replicaof", "127.0.0.1", `${master.port}`]);
  await inSync(replica);
  const sentinel = await start(
    ["--sentinel"],
    [
      `sentinel monitor main 127.0.0.1 ${master.port} 1`,
      `sentinel down-after-milliseconds main ${deadMs}`,
      "sentinel failover-timeout main 3000",
    ],
  );
  await until(async () => String(await sentinel.call("SENTINEL", "REPLICAS", "main")).includes(`${replica.port}`));
  return {
    url: `redis+sentinel://127.0.0.1:${sentinel.port}/main`,
    master,
    stop: stopAll([sentinel, master, replica]),
  };
}

/** Starts three masters and a replica of the first. */
export async function startCluster(): Promise<RedisGroup> {
  const servers: { redis: TestRedis; busPort: number }[] = [];
  for (let number = 0; number <= masters; number++) {
    // By default the port for the servers' own traffic is 10,000 higher, which may be beyond 65,535.
    const busPort = await freePort();
    const args = ["--cluster-enabled", "yes", "--cluster-port", `${busPort}`, "--cluster-node-timeout", `${deadMs}`];
    servers.push({ redis: await start(args), busPort });
  }
  const all = servers.map(({ redis }) => redis);
  const [first, replica] = [all[0], all[masters]] as [TestRedis, TestRedis];
  for (const [number, redis] of all.slice(0, masters).entries()) {
    const [from, to] = [number, number + 1].map((each) => Math.floor((each * slots) / masters)) as [number, number];
    await redis.call("CLUSTER", "ADDSLOTSRANGE", `${from}`, `${to - 1}`);
  }
  for (const { redis, busPort } of servers.slice(1)) {
    await first.call("CLUSTER", "MEET", "127.0.0.1", `${redis.port}`, `${busPort}`);
  }
  const knowAll = async (redis: TestRedis) => {
    const info = String(await redis.call("CLUSTER", "INFO"));
    return info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${all.length}`);
  };
  for (const redis of all) await until(() => knowAll(redis));
  await replica.call("CLUSTER", "REPLICATE", String(await first.call("CLUSTER", "MYID")));
  await inSync(replica);
  const hosts = all.map(({ port }) => `127.0.0.1:${port}`).join(",");
  return { url: `redis+cluster://${hosts}`, master: first, stop: stopAll(all) };
}

async function start(args: readonly string[] = [], lines?: string[]): Promise<TestRedis> {
  const redis = new TestRedis(pathOf(redisServer), await freePort(), args, lines);
  await redis.start();
  return redis;
}

function stopAll(servers: readonly TestRedis[]): () => Promise<void> {
  return async () => void (await Promise.all(servers.map((redis) => redis.stop())));
}

/** Waits until a replica has all that its master has. */
function inSync(redis: TestRedis): Promise<void> {
  return until(async () => String(await redis.call("INFO", "replication")).includes("master_link_status:up"));
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}
