import type { Cluster, Redis } from "ioredis";
import type { OnlineTotals } from "../../ports/presence.ts";
import { exactKey } from "../../util/keys.ts";
import { runScript, type Script, scripts } from "./scripts.ts";

/** The open streams of a tenant, or the members of one of its rooms: what presence counts and leases. */
export interface MemberSet {
  readonly tenant: string;
  /** Undefined for the tenant's open streams. */
  readonly room: string | undefined;
}

/** Returns the set of a tenant's open streams. */
export function onlineIn(tenant: string): MemberSet {
  return { tenant, room: undefined };
}

/** Returns a key for a set in maps of this process. */
export function setKey({ tenant, room }: MemberSet): string {
  return exactKey(tenant, room);
}

/** A membership of a room that ended because another connection took the room. */
export interface Kicked {
  /** As LocalMember names it. */
  readonly member: string;
  readonly token: string;
}

/** The most users per call of `connections`, a limit of the script. */
export const maxUsersPerQuery = 1000;

/** The commands of presence, most of them a script each. They reject when Redis does not execute them. */
export class PresenceCommands {
  readonly #redis: Redis | Cluster;
  readonly #prefix: string;
  readonly #leaseMs: number;
  readonly #channel: string;

  /** Keys start with `prefix`; notices about kicked members go to `channel`. */
  constructor(redis: Redis | Cluster, prefix: string, leaseMs: number, channel: string) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#leaseMs = leaseMs;
    this.#channel = channel;
  }

  /** Resolves when Redis answers. */
  async ping(): Promise<void> {
    await this.#redis.ping();
  }

  /** Adds a member. Resolves with the memberships that it ended, or undefined when the room refuses it. */
  async enter(set: MemberSet, member: string, info: string): Promise<readonly Kicked[] | undefined> {
    const { tenant, room = "" } = set;
    const lease = `${this.#leaseMs}`;
    const answer = await this.#run(scripts.enter, set, [lease, member, info, this.#channel, tenant, room]);
    const [entered, ...kicked] = answer as [number, ...string[]];
    if (entered === 0) return undefined;
    return kicked.flatMap((each, index) => (index % 2 === 0 ? [{ member: each, token: kicked[index + 1] ?? "" }] : []));
  }

  /** Renews members, adding those that Redis lacks. Resolves with the set's totals and the members that it refuses. */
  async renew(set: MemberSet, members: readonly (readonly [member: string, info: string])[]) {
    const answer = await this.#run(scripts.renew, set, [`${this.#leaseMs}`, ...members.flat()]);
    const [users, connections, ...lost] = answer as [number, number, ...string[]];
    return { totals: { users, connections }, lost };
  }

  /** Removes members. */
  async leave(set: MemberSet, members: readonly string[]): Promise<void> {
    await this.#run(scripts.leave, set, members);
  }

  /** Counts a set. */
  async count(set: MemberSet): Promise<OnlineTotals> {
    const [users, connections] = (await this.#run(scripts.count, set, [])) as [number, number];
    return { users, connections };
  }

  /** Counts the open streams of each of some users, at most `maxUsersPerQuery`, in the order given. */
  async connections(tenant: string, users: readonly string[]): Promise<number[]> {
    const answer = (await this.#run(scripts.connections, onlineIn(tenant), users)) as (string | null)[];
    return answer.map((open) => Number(open ?? 0));
  }

  /** Lists the tenants that have open streams. */
  async tenants(): Promise<readonly string[]> {
    return (await runScript(this.#redis, scripts.tenants, [`${this.#prefix}:tenants`], [])) as string[];
  }

  /** Records that these tenants have open streams. */
  async register(tenants: readonly string[]): Promise<void> {
    if (tenants.length === 0) return;
    await runScript(this.#redis, scripts.tenants, [`${this.#prefix}:tenants`], [`${this.#leaseMs}`, ...tenants]);
  }

  #run(script: Script, { tenant, room }: MemberSet, args: readonly string[]): Promise<unknown> {
    // Escaping keeps the names of tenants apart from the rest of the key, and a brace in one from ending the hash tag.
    const tag = `${this.#prefix}:{t${encodeURIComponent(tenant.toWellFormed())}}`;
    const keys = ["leases", "users", "infos", "kicked"].map((part) =>
      room === undefined ? `${tag}:online:${part}` : `${tag}:room:${part}:${room}`,
    );
    return runScript(this.#redis, script, keys, args);
  }
}
