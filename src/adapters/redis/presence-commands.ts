import { createHash } from "node:crypto";
import type { Cluster, Redis } from "ioredis";
import type { OnlineTotals } from "../../ports/presence.ts";
import { scripts } from "./scripts.ts";

/** A tenant, or one of its rooms. */
export interface Place {
  readonly tenant: string;
  readonly room: string | undefined;
}

/** The length keeps a tenant's name and a room's apart. */
export function idOf({ tenant, room }: Place): string {
  return room === undefined ? `${tenant.length}\n${tenant}` : `${tenant.length}\n${tenant}\n${room}`;
}

/** Who was kicked out of a room. */
export interface Kicked {
  readonly member: string;
  readonly token: string;
}

/** Users whom one script asks for: Lua passes no more than some thousand arguments on. */
export const maxUsersPerQuery = 1000;

/** The scripts as calls. They reject when Redis does not do them. */
export class PresenceCommands {
  readonly #redis: Redis | Cluster;
  readonly #prefix: string;
  readonly #leaseMs: number;
  readonly #channel: string;

  /** Kicks are told on the channel. */
  constructor(redis: Redis | Cluster, prefix: string, leaseMs: number, channel: string) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#leaseMs = leaseMs;
    this.#channel = channel;
  }

  /** Whether Redis answers at all. */
  async ping(): Promise<void> {
    await this.#redis.ping();
  }

  /** Undefined for a refusal. */
  async enter(place: Place, member: string, info: string): Promise<readonly Kicked[] | undefined> {
    const { tenant, room = "" } = place;
    const lease = `${this.#leaseMs}`;
    const answer = await this.#run("enter", place, [lease, member, info, this.#channel, tenant, room]);
    const [entered, ...kicked] = answer as [number, ...string[]];
    if (entered === 0) return undefined;
    return kicked.flatMap((each, index) => (index % 2 === 0 ? [{ member: each, token: kicked[index + 1] ?? "" }] : []));
  }

  /** Answers the count, and who is out. */
  async renew(place: Place, members: readonly (readonly [member: string, info: string])[]) {
    const answer = await this.#run("renew", place, [`${this.#leaseMs}`, ...members.flat()]);
    const [users, connections, ...lost] = answer as [number, number, ...string[]];
    return { tally: { users, connections }, lost };
  }

  async leave(place: Place, members: readonly string[]): Promise<void> {
    await this.#run("leave", place, members);
  }

  async count(place: Place): Promise<OnlineTotals> {
    const [users, connections] = (await this.#run("count", place, [])) as [number, number];
    return { users, connections };
  }

  async connections(tenant: string, users: readonly string[]): Promise<number[]> {
    const answer = (await this.#run("connections", { tenant, room: undefined }, users)) as (string | null)[];
    return answer.map((open) => Number(open ?? 0));
  }

  /** Tenants who have somebody online. */
  async tenants(): Promise<readonly string[]> {
    return (await this.#call("tenants", [`${this.#prefix}:tenants`], [])) as string[];
  }

  /** These tenants have somebody online. */
  async register(tenants: readonly string[]): Promise<void> {
    if (tenants.length > 0) await this.#call("tenants", [`${this.#prefix}:tenants`], [`${this.#leaseMs}`, ...tenants]);
  }

  #run(name: keyof typeof scripts, { tenant, room }: Place, args: readonly string[]): Promise<unknown> {
    // Escaped, so that no tenant's or room's name can be read as another's, and the tag ends where it should.
    const tag = `${this.#prefix}:{t${encodeURIComponent(tenant.toWellFormed())}}`;
    const keys = ["leases", "users", "infos", "kicked"].map((part) =>
      room === undefined ? `${tag}:online:${part}` : `${tag}:room:${part}:${room}`,
    );
    return this.#call(name, keys, args);
  }

  /** By the digest, and only where Redis does not know it with the text: it is there once per start of a server. */
  async #call(name: keyof typeof scripts, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    try {
      return await this.#redis.evalsha(digests[name], keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
      return this.#redis.eval(scripts[name], keys.length, ...keys, ...args);
    }
  }
}

const digests = Object.fromEntries(
  Object.entries(scripts).map(([name, lua]) => [name, createHash("sha1").update(lua).digest("hex")]),
) as Record<keyof typeof scripts, string>;
