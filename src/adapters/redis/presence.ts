/**
 * Port Presence over Redis. This node's memory holds the truth about its own connections; Redis holds it under leases
 * (lease-renewal.ts), beside that of the other nodes, for counts and for rooms. Only entering a room by FIRST or LAST
 * needs Redis: everything else works from memory while Redis does not answer, and reaches it later.
 */

import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import { fail } from "../../errors.ts";
import type { Connection, Membership, OnlineTotals, Presence, PresenceChange } from "../../ports/presence.ts";
import { Batcher } from "../../util/batcher.ts";
import { Deadline } from "../../util/deadline.ts";
import { guard, warn } from "../../util/guard.ts";
import { exactKey, joinKey } from "../../util/keys.ts";
import { Listeners } from "../../util/listeners.ts";
import { prefixOf } from "./connect.ts";
import { warnOfEviction } from "./eviction.ts";
import { LastCounts } from "./last-counts.ts";
import { type Departed, departedKey, LeaseRenewal } from "./lease-renewal.ts";
import { RedisLink } from "./link.ts";
import { type LocalMember, LocalMembers, memberName } from "./local-members.ts";
import { type Kicked, type MemberSet, maxUsersPerQuery, onlineIn, PresenceCommands } from "./presence-commands.ts";

/** Options of RedisPresence. */
export interface RedisPresenceOptions {
  /** A URL of the form redis://, redis+sentinel:// or redis+cluster://, as connectRedis takes it. */
  readonly url: string;
  /** The start of every key, without braces. Default: the prefix that the URL names. */
  readonly prefix?: string;
  /** Gets one line when Redis is lost, one when it is back, and a warning when Redis may evict keys. */
  readonly logger?: Logger | undefined;
  /** How long a node that died is still counted, in ms. Default 27,000: with the round of renewals, under 30 s. */
  readonly leaseMs?: number;
}

/** How long a call waits for Redis. */
const timeoutMs = 500;
/** A round of renewals that runs for longer is on a dead connection. */
const stuckMs = 10_000;
/** The least time between two notices about changed counts. */
const announceMs = 100;
/** The most departed members kept for Redis to remove later; the leases of further ones end by themselves. */
const maxDeparted = 100_000;
/** How long close waits for Redis. */
const closeMs = 2_000;
/** The number of tenants counted at once. */
const maxTenantsAtOnce = 100;

/** The presence of one node. */
export class RedisPresence implements Presence {
  readonly #node = randomUUID();
  readonly #channel: string;
  readonly #logger: Logger | undefined;
  readonly #listeners = new Listeners<PresenceChange>();
  readonly #members = new LocalMembers();
  readonly #counts = new LastCounts(this.#members);
  readonly #link: RedisLink;
  readonly #commands: PresenceCommands;
  /** Counts the open streams of users: every publish needs some of these numbers. */
  readonly #openStreams: Batcher<number>;
  readonly #renewal: LeaseRenewal;
  readonly #timer: NodeJS.Timeout;
  /** The last step in progress of each connection, so that a slow enter is not overtaken by the leave. */
  readonly #steps = new Map<string, Promise<unknown>>();
  readonly #departed: Departed = new Map();
  /** Tenants whose counts have changed since the last notice to other nodes. */
  readonly #changedTenants = new Set<string>();
  #announceTimer: NodeJS.Timeout | undefined;
  #tokens = 0;
  /** Redis answers and holds this node's members. Undefined until the first attempt has succeeded or failed. */
  #connected: boolean | undefined;
  /** Redis may have lost members that it had confirmed, so the next round must be a full one. */
  #needsFullRound = true;
  /** The last count of all tenants together. */
  #total: OnlineTotals & { readonly asOf: number } = { users: 0, connections: 0, asOf: Date.now() };
  #closing: Promise<void> | undefined;

  /** Connects in the background. Throws a TypeError for a URL of an unknown form, and for a prefix with braces. */
  constructor({ url, prefix = prefixOf(url), logger, leaseMs = 27_000 }: RedisPresenceOptions) {
    if (/[{}]/.test(prefix)) throw new TypeError("redis: the prefix must have no braces");
    this.#channel = `${prefix}:presence`;
    this.#logger = logger;
    this.#link = new RedisLink(url, [this.#channel], {
      message: (_, bytes) => this.#receive(bytes),
      up: () => void this.#renew(),
      down: () => {
        this.#needsFullRound = true;
        this.#disconnect();
      },
    });
    this.#commands = new PresenceCommands(this.#link.commands, prefix, leaseMs, this.#channel);
    this.#openStreams = new Batcher(maxUsersPerQuery, async (users, tenant) => {
      const open = await this.#commands.connections(tenant, users);
      return new Map(users.map((user, index) => [user, open[index] ?? 0]));
    });
    this.#renewal = new LeaseRenewal(this.#commands, this.#members, this.#departed, leaseMs * 0.3, {
      counted: (set, totals) => this.#counts.record(set, totals),
      changed: (tenant) => this.#listeners.call({ type: "count", tenant }),
      lost: (set, kicked) => this.#kick(set, kicked),
    });
    this.#timer = setInterval(() => guard(warn, () => this.#check()), Math.min(1000, leaseMs / 10)).unref();
  }

  /** Whether Redis answers and holds this node's members. */
  get isConnected(): boolean {
    return this.#connected === true;
  }

  enter(connection: Connection): Promise<void> {
    const set = onlineIn(connection.tenant);
    const name = memberName(connection);
    return this.#inOrder(connection, async () => {
      if (this.#members.get(set, name)) return;
      const isFirst = this.#members.count(set).connections === 0;
      const member = { set, connection, name, info: "", token: "", pending: false, confirmed: false };
      this.#members.add(member);
      // Without an answer the next round sends the member.
      const answer = await this.#ask(() =>
        Promise.all([
          isFirst ? this.#commands.register([set.tenant]) : undefined,
          this.#commands.enter(set, name, member.info),
        ]),
      );
      member.confirmed = answer !== undefined;
      this.#countChanged(set.tenant);
    });
  }

  join({ connection, room, mode, instance }: Membership): Promise<boolean> {
    const set = { tenant: connection.tenant, room };
    const name = memberName(connection);
    const token = `${++this.#tokens}`;
    const info = joinKey(mode, token, instance);
    const member: LocalMember = { set, connection, name, info, token, pending: true, confirmed: false };
    return this.#inOrder(connection, async () => {
      const before = this.#members.get(set, name);
      // Add it before the answer: a notice that it was kicked may arrive first.
      this.#members.add(member);
      const answer = await this.#ask(() => this.#commands.enter(set, name, info));
      member.pending = false;
      member.confirmed = answer !== undefined;
      for (const kicked of answer?.value ?? []) this.#kick(set, kicked);
      if (answer?.value) return true;
      // ANY is never refused, so it needs no answer: the next round sends the member.
      if (!answer && mode === "any") return true;
      if (this.#members.get(set, name) === member) this.#members.remove(member);
      if (answer) {
        if (before) this.#members.add(before);
        return false;
      }
      // Redis may still execute the script, so the member has to be removed there later.
      this.#keepDeparted(member);
      throw fail("ROOMS_UNAVAILABLE", "the members of the room are not known at the moment; try again", {
        retryAfterMs: 1000,
      });
    });
  }

  leave(connection: Connection, room?: string): Promise<void> {
    return this.#inOrder(connection, async () => {
      const all = this.#members.of(connection);
      const left = room === undefined ? all : all.filter(({ set }) => set.room === room);
      for (const member of left) this.#members.remove(member);
      await Promise.all(left.map((member) => this.#sendLeave(member)));
      if (left.some(({ set }) => set.room === undefined)) this.#countChanged(connection.tenant);
    });
  }

  async count(tenant: string | undefined, room?: string): Promise<OnlineTotals> {
    if (tenant === undefined) return this.#countAll();
    const set = { tenant, room };
    const answer = await this.#ask(() => this.#commands.count(set));
    if (!answer) return this.#counts.estimate(set);
    this.#counts.record(set, answer.value);
    return answer.value;
  }

  async connections(tenant: string, users: readonly string[]): Promise<readonly number[]> {
    const answer = await this.#ask(() => Promise.all(users.map((user) => this.#openStreams.get(user, tenant))));
    if (answer) return answer.value.map((open) => open ?? 0);
    return users.map((user) => this.#members.countUser(onlineIn(tenant), user));
  }

  get leases(): number {
    return this.#members.size;
  }

  watch(listener: (change: PresenceChange) => void): () => void {
    return this.#listeners.add(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer);
    this.#listeners.clear();
    this.#renewal.close();
    if (this.#connected) {
      const leaves = this.#members.bySet().map((members) => this.#renewal.leave(members));
      for (const { tenant, room } of this.#members.sets) if (room === undefined) this.#changedTenants.add(tenant);
      const goodbye = Promise.allSettled(leaves).then(() => this.#announce());
      // What does not reach Redis in time is removed when its lease ends.
      await within(closeMs, goodbye).catch(() => {});
    }
    clearTimeout(this.#announceTimer);
    this.#connected = false;
    this.#link.close();
  }

  /** Runs the steps of a connection one after the other. The first starts at once, so Redis gets them in call order. */
  async #inOrder<T>({ tenant, id }: Connection, step: () => Promise<T>): Promise<T> {
    const key = exactKey(tenant, id);
    const before = this.#steps.get(key);
    const running = before ? before.then(step) : step();
    const settled = running.catch(() => {});
    this.#steps.set(key, settled);
    try {
      return await running;
    } finally {
      if (this.#steps.get(key) === settled) this.#steps.delete(key);
    }
  }

  /** Resolves with the answer of Redis, or with undefined when it gives none in time. */
  async #ask<T>(call: () => Promise<T>): Promise<{ readonly value: T } | undefined> {
    if (!this.#connected) return undefined;
    try {
      return { value: await within(timeoutMs, call()) };
    } catch (error) {
      this.#disconnect(error);
      return undefined;
    }
  }

  async #sendLeave(member: LocalMember): Promise<void> {
    const answer = await this.#ask(() => this.#commands.leave(member.set, [member.name]));
    if (!answer) this.#keepDeparted(member);
  }

  #keepDeparted(member: LocalMember): void {
    if (this.#departed.size < maxDeparted) this.#departed.set(departedKey(member), member);
  }

  async #countAll(): Promise<OnlineTotals> {
    const tenants = await this.#ask(() => this.#commands.tenants());
    if (!tenants) return this.#total;
    let [users, connections] = [0, 0];
    for (let first = 0; first < tenants.value.length; first += maxTenantsAtOnce) {
      const some = tenants.value.slice(first, first + maxTenantsAtOnce);
      const answer = await this.#ask(() => Promise.all(some.map((tenant) => this.#commands.count(onlineIn(tenant)))));
      if (!answer) return this.#total;
      for (const totals of answer.value) {
        users += totals.users;
        connections += totals.connections;
      }
    }
    this.#total = { users, connections, asOf: Date.now() };
    return { users, connections };
  }

  #check(): void {
    if (!this.#link.isUp) this.#disconnect();
    else if (this.#renewal.runningMs > stuckMs) this.#link.restart();
    else if (!this.#connected || this.#renewal.isDue) void this.#renew();
  }

  async #renew(): Promise<void> {
    try {
      const full = this.#needsFullRound || this.#renewal.isDue;
      this.#needsFullRound = false;
      const wasRun = await this.#renewal.run(full);
      if (!wasRun) this.#needsFullRound ||= full;
      if (!wasRun || this.#closing || !this.#link.isUp) return;
      if (this.#connected) return;
      this.#connected = true;
      this.#logger?.info("presence is connected to Redis");
      void warnOfEviction(this.#link.commands, this.#logger);
      // A connection that entered or left while the round was running was neither part of it nor sent by itself.
      await this.#renewal.run(false);
    } catch (error) {
      this.#disconnect(error);
    }
  }

  #disconnect(error?: unknown): void {
    // A replica that takes over from a master that failed may not have received everything.
    if (error) this.#needsFullRound = true;
    if (this.#connected === false || this.#closing) return;
    // While the first connection is still being made, nothing is wrong.
    if (this.#connected === undefined && !error && this.#link.error === "") return;
    this.#connected = false;
    const reason = error instanceof Error ? error.message : this.#link.error || "the connection has closed";
    this.#logger?.warn({ reason }, "presence has lost Redis; counts are the last known ones until it is back");
  }

  #countChanged(tenant: string): void {
    this.#listeners.call({ type: "count", tenant });
    this.#changedTenants.add(tenant);
    if (this.#announceTimer || this.#closing) return;
    void this.#announce();
    this.#announceTimer = setTimeout(() => {
      this.#announceTimer = undefined;
      if (this.#changedTenants.size > 0) void this.#announce();
    }, announceMs).unref();
  }

  /** Notifies the other nodes of changed counts. One that misses it sees the change in its next full round. */
  async #announce(): Promise<void> {
    const tenants = [...this.#changedTenants];
    this.#changedTenants.clear();
    if (!this.#connected || tenants.length === 0) return;
    await this.#link.commands.publish(this.#channel, JSON.stringify({ node: this.#node, tenants })).catch(() => {});
  }

  #receive(bytes: Buffer): void {
    const { node, tenants = [], tenant = "", room = "", kicked = [] } = decode(bytes);
    if (node !== this.#node) for (const each of tenants) this.#listeners.call({ type: "count", tenant: each });
    for (const [member, token] of kicked) this.#kick({ tenant, room }, { member, token });
  }

  /**
   * Ends a membership of this node and notifies the watchers. The script's answer, the channel and a renewal may all
   * report the same one: the first report counts.
   */
  #kick(set: MemberSet, { member: name, token }: Kicked): void {
    const member = this.#members.get(set, name);
    if (member?.token !== token) return;
    this.#members.remove(member);
    this.#listeners.call({ type: "kicked", connection: member.connection.id, room: set.room ?? "" });
  }
}

function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  return new Deadline(milliseconds, () => new Error(`no answer within ${milliseconds} ms`)).race(work);
}

/** A message on the channel: changed counts, from a node; or kicked members, from the script `enter`. */
interface ChannelMessage {
  readonly node?: string;
  readonly tenants?: readonly string[];
  readonly tenant?: string;
  readonly room?: string;
  readonly kicked?: readonly (readonly [member: string, token: string])[];
}

function decode(bytes: Buffer): ChannelMessage {
  try {
    return JSON.parse(String(bytes)) as ChannelMessage;
  } catch {
    return {};
  }
}
