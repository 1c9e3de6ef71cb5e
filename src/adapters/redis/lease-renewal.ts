/**
 * Leases. Redis holds each member of a set under a lease, so that the members of a node that dies or is cut off leave
 * every count and room by themselves. A live node renews its leases in rounds, every three tenths of the lease: one
 * missed round costs nothing, and a node that stops is gone within the lease. A renewal carries everything about a
 * member, so that it also restores what Redis has lost in a restart or a failover, and it reports the members that have
 * lost their room.
 *
 * A full round renews every member. A partial round, which follows the first full one on a new connection, sends only
 * what Redis has not confirmed: what has changed during the full round. Each round first repeats the leaves that Redis
 * missed: otherwise a room that was left would count as taken until the lease ends.
 */
import type { OnlineTotals } from "../../ports/presence.ts";
import { exactKey } from "../../util/keys.ts";
import type { LocalMember, LocalMembers } from "./local-members.ts";
import { type Kicked, type MemberSet, type PresenceCommands, setKey } from "./presence-commands.ts";

/** The number of members renewed at once, which blocks Redis for some milliseconds. */
const maxMembersAtOnce = 500;
/** The cost of a script itself, in members. */
const scriptCost = 10;

/** Gets what a round finds out. */
export interface LeaseListener {
  /** Redis has counted a set. */
  counted(set: MemberSet, totals: OnlineTotals): void;
  /** The tenant's count differs from that of the round before. */
  changed(tenant: string): void;
  /** A membership has ended, and the notice about it may not have reached this node. */
  lost(set: MemberSet, kicked: Kicked): void;
}

/** Members that left while Redis did not answer, by departedKey. */
export type Departed = Map<string, LocalMember>;

/** Returns the key of a member in Departed. */
export function departedKey({ set, name }: LocalMember): string {
  return exactKey(setKey(set), name);
}

/** Some members of one set, for one script. */
type Chunk = readonly [set: MemberSet, members: readonly LocalMember[]];

/** Renews the leases of a node, one round at a time. */
export class LeaseRenewal {
  readonly #commands: PresenceCommands;
  readonly #members: LocalMembers;
  readonly #departed: Departed;
  readonly #everyMs: number;
  readonly #listener: LeaseListener;
  /** The counts of the last full round, by tenant. */
  #counts = new Map<string, OnlineTotals>();
  #startedAt: number | undefined;
  #dueAt = 0;
  #closed = false;

  /** Full rounds are due every `everyMs`. A round removes from `departed` what it has made Redis remove. */
  constructor(
    commands: PresenceCommands,
    members: LocalMembers,
    departed: Departed,
    everyMs: number,
    listener: LeaseListener,
  ) {
    this.#commands = commands;
    this.#members = members;
    this.#departed = departed;
    this.#everyMs = everyMs;
    this.#listener = listener;
  }

  /** Whether the next full round is due. */
  get isDue(): boolean {
    return performance.now() >= this.#dueAt;
  }

  /** How long the current round has been running, in ms; 0 without one. */
  get runningMs(): number {
    return this.#startedAt === undefined ? 0 : performance.now() - this.#startedAt;
  }

  /** Runs a full or a partial round. Resolves with false when another one is running. Rejects when Redis fails. */
  async run(full: boolean): Promise<boolean> {
    if (this.#startedAt !== undefined || this.#closed) return false;
    this.#startedAt = performance.now();
    const dueAt = this.#startedAt + this.#everyMs;
    try {
      await this.#commands.ping();
      await this.#removeDeparted();
      if (full) await this.#renewAll();
      else await this.#each(this.#members.bySet().map(unconfirmed).flatMap(chunks), (chunk) => this.#renew(...chunk));
      if (full) this.#dueAt = dueAt;
    } finally {
      this.#startedAt = undefined;
    }
    return !this.#closed;
  }

  /** Removes members of one set from Redis. */
  async leave(members: readonly LocalMember[]): Promise<void> {
    await Promise.all(chunks(members).map(([set, some]) => this.#commands.leave(set, some.map(nameOf))));
  }

  /** Stops: nothing is renewed any more. */
  close(): void {
    this.#closed = true;
  }

  async #removeDeparted(): Promise<void> {
    const bySet = Map.groupBy(this.#departed.values(), ({ set }) => setKey(set));
    await this.#each([...bySet.values()].flatMap(chunks), async ([set, some]) => {
      // A member may have entered again since.
      const absent = some.filter(({ name }) => !this.#members.get(set, name));
      if (absent.length > 0) await this.#commands.leave(set, absent.map(nameOf));
      for (const member of some) this.#departed.delete(departedKey(member));
    });
  }

  async #renewAll(): Promise<void> {
    const bySet = this.#members.bySet();
    const tenants = new Set(bySet.map(([member]) => member?.set.tenant ?? ""));
    await this.#commands.register([...tenants]);
    const counts = new Map<string, OnlineTotals>();
    await this.#each(bySet.flatMap(chunks), async ([set, some]) => {
      const totals = await this.#renew(set, some);
      if (set.room === undefined) counts.set(set.tenant, totals);
    });
    const before = this.#counts;
    this.#counts = counts;
    for (const tenant of tenants) {
      const [old, now] = [before.get(tenant), counts.get(tenant)];
      if (old?.users !== now?.users || old?.connections !== now?.connections) this.#listener.changed(tenant);
    }
  }

  async #renew(set: MemberSet, some: readonly LocalMember[]): Promise<OnlineTotals> {
    // A renewal adds members, so a pending one would enter a room that may be refusing it just now.
    const current = some.filter(({ name, pending }) => !pending && this.#members.get(set, name));
    const { totals, lost } = await this.#commands.renew(
      set,
      current.map(({ name, info }) => [name, info]),
    );
    this.#listener.counted(set, totals);
    for (const { name, token } of current) if (lost.includes(name)) this.#listener.lost(set, { member: name, token });
    for (const member of current) member.confirmed = true;
    // The leave of a member that left just now may have reached Redis before the renewal, which then added it again.
    const left = current.filter(({ name }) => !this.#members.get(set, name));
    if (left.length > 0) await this.#commands.leave(set, left.map(nameOf));
    return totals;
  }

  /** Calls for every chunk: for many small sets at once, or a few large ones. */
  async #each(chunks: readonly Chunk[], call: (chunk: Chunk) => Promise<unknown>): Promise<void> {
    for (let first = 0; first < chunks.length && !this.#closed; ) {
      const some: Chunk[] = [];
      for (let cost = 0; first < chunks.length && cost < maxMembersAtOnce; first++) {
        const chunk = chunks[first] as Chunk;
        some.push(chunk);
        cost += chunk[1].length + scriptCost;
      }
      await Promise.all(some.map(call));
    }
  }
}

function unconfirmed(members: readonly LocalMember[]): readonly LocalMember[] {
  return members.filter(({ confirmed }) => !confirmed);
}

/** Cuts members of one set into chunks. */
function chunks(members: readonly LocalMember[]): Chunk[] {
  const set = members[0]?.set;
  if (!set) return [];
  const parts: Chunk[] = [];
  for (let first = 0; first < members.length; first += maxMembersAtOnce) {
    parts.push([set, members.slice(first, first + maxMembersAtOnce)]);
  }
  return parts;
}

function nameOf({ name }: LocalMember): string {
  return name;
}
