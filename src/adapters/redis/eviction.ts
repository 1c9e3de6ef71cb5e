import { type Cluster, Redis } from "ioredis";
import type { Logger } from "pino";

/** What a server may do with keys when its memory is full. */
interface Eviction {
  /** The server's `maxmemory-policy`; undefined where the server forbids INFO or does not say. */
  readonly policy: string | undefined;
  /** The memory from which the policy applies, in bytes; 0 is no limit. */
  readonly maxMemory: number;
}

/**
 * Warns about every server whose policy lets it evict keys: online counts and rooms are then wrong until the next renewal
 * of the leases. Asks by INFO, which servers also answer that forbid CONFIG. Never rejects.
 */
export async function warnOfEviction(redis: Redis | Cluster, logger: Logger | undefined): Promise<void> {
  if (!logger) return;
  const servers = redis instanceof Redis ? [redis] : redis.nodes("master");
  const answers = await Promise.all(servers.map(readEviction));
  const unsafe = answers.find(({ policy }) => policy !== undefined && policy !== "noeviction");
  if (unsafe) {
    logger.warn(
      unsafe,
      `Redis may evict keys of presence (maxmemory-policy ${unsafe.policy}): online counts and rooms can be wrong for ` +
        "seconds at a time; set maxmemory-policy to noeviction",
    );
  } else if (answers.some(({ policy }) => policy === undefined)) {
    logger.info("Redis does not tell its maxmemory-policy; make sure that it is noeviction");
  }
}

async function readEviction(server: Redis): Promise<Eviction> {
  const memory = await server.info("memory").catch(() => "");
  return {
    policy: /^maxmemory_policy:(\S+)/m.exec(memory)?.[1],
    maxMemory: Number(/^maxmemory:(\d+)/m.exec(memory)?.[1] ?? 0),
  };
}
