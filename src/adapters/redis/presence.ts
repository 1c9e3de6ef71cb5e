/**
 * Port Presence over Redis. What this node's connections hold is in its memory, and is the truth about them; Redis has it
 * under leases, beside what other nodes hold, and is told it all again when it may have forgotten. The claim of a room is
 * the only question that Redis alone can answer.
 */

import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import { fail } from "../../errors.ts";
import type { Connection, Membership, OnlineTotals, Presence, PresenceChange } from "../../ports/presence.ts";
import { Batcher } from "../../util/batcher.ts";
import { Deadline } from "../../util/deadline.ts";
import { tenantKey } from "../../util/keys.ts";
import { Listeners } from "../../util/listeners.ts";
import { prefixOf } from "./connect.ts";
import { LastCounts } from "./last-counts.ts";
import { LeaseRenewal } from "./lease-renewal.ts";
import { RedisLink } from "./link.ts";
import { type Held, LocalMembers, memberOf } from "./local-members.ts";
import { idOf, type Kicked, maxUsersPerQuery, type Place, PresenceCommands } from "./presence-commands.ts";

/** Options of RedisPresence. */
export interface RedisPresenceOptions {
  /** redis://, redis+sentinel:// or redis+cluster://, as src/adapters/redis/connect.ts takes them. */
  readonly url: string;
  /** Before every key; without braces. Default: the URL's. */
  readonly prefix?: string;
  /** Is told, in one sentence, when Redis is lost and found. */
  readonly logger?: Logger | undefined;
  /** How long a node that died is still counted, in ms. Default 27,000: with the round of renewals, under 30 s. */
  readonly leaseMs?: number;
}

/** An answer that takes longer is not waited for. */
const timeoutMs = 500;
/** A round of renewals that hangs for so long is on a connection that is dead. */
const stuckMs = 10_000;
/** Other nodes are told of changed counts at most once in so long. */
const announceMs = 100;
/** What is left while Redis is away, at most; of more the leases end by themselves. */
const maxGone = 100_000;
const closeMs = 2_000;
/** Tenants that are counted at once. */
const countedTogether = 100;

/** The presence of one node. */
export class RedisPresence implements Presence {
  readonly #node = randomUUID();
  readonly #channel: string;
  readonly #logger: Logger | undefined;
  readonly #listeners = new Listeners<PresenceChange>();
  readonly #holdings = new LocalMembers();
  readonly #known = new LastCounts(this.#holdings);
  readonly #link: RedisLink;
  readonly #places: PresenceCommands;
  /** Open streams of users, by tenant: each publish asks. */
  readonly #open: Batcher<number>;
  readonly #renewal: LeaseRenewal;
  readonly #timer: NodeJS.Timeout;
  /** By connection, the last step under way: a slow enter must not overtake the leave. */
  readonly #steps = new Map<string, Promise<unknown>>();
  /** Who left while Redis could not be told. */
  readonly #gone = new Map<string, Held>();
  /** Tenants whose change other nodes are still to be told. */
  readonly #changes = new Set<string>();
  #quiet: NodeJS.Timeout | undefined;
  #tokens = 0;
  /** Whether Redis answers, and knows what this node holds; undefined until it has turned out. */
  #answers: boolean | undefined;
  /** Redis may have forgotten what it was told. */
  #forgot = true;
  #all: OnlineTotals & { readonly asOf: number } = { users: 0, connections: 0, asOf: Date.now() };
  #closing: Promise<void> | undefined;

  /** Connects in the background. Throws a TypeError for a URL of an unknown form, and for a prefix with braces. */
  constructor({ url, prefix = prefixOf(url), logger, leaseMs = 27_000 }: RedisPresenceOptions) {
    if (/[{}]/.test(prefix)) throw new TypeError("redis: the prefix must have no braces");
    this.#channel = `${prefix}:presence`;
    this.#logger = logger;
    this.#link = new RedisLink(url, [this.#channel], {
      message: (_, bytes) => this.#hear(bytes),
      up: () => void this.#renew(),
      down: () => {
        this.#forgot = true;
        this.#silent();
      },
    });
    this.#places = new PresenceCommands(this.#link.commands, prefix, leaseMs, this.#channel);
    this.#open = new Batcher(maxUsersPerQuery, async (users, tenant) => {
      const open = await this.#places.connections(tenant, users);
      return new Map(users.map((user, index) => [user, open[index] ?? 0]));
    });
    this.#renewal = new LeaseRenewal(this.#places, this.#holdings, this.#gone, leaseMs * 0.3, {
      counted: (place, tally) => this.#known.learn(place, tally),
      changed: (tenant) => this.#listeners.call({ type: "count", tenant }),
      lost: (place, kicked) => this.#kick(place, kicked),
    });
    this.#timer = setInterval(() => this.#tick(), Math.min(1000, leaseMs / 10)).unref();
  }

  /** Whether Redis answers. */
  get answers(): boolean {
    return this.#answers === true;
  }

  enter(connection: Connection): Promise<void> {
    const place = online(connection.tenant);
    const member = memberOf(connection);
    return this.#inOrder(connection, async () => {
      if (this.#holdings.get(place, member)) return;
      const isFirst = this.#holdings.tally(place).connections === 0;
      const held = { place, connection, member, info: "", token: "", pending: false, told: false };
      this.#holdings.add(held);
      // Redis is told again when it answers again, if it does not now.
      const answer = await this.#ask(() =>
        Promise.all([
          isFirst ? this.#places.register([place.tenant]) : undefined,
          this.#places.enter(place, member, ""),
        ]),
      );
      held.told = answer !== undefined;
      this.#changed(place.tenant);
    });
  }

  join({ connection, room, mode: entrance, instance }: Membership): Promise<boolean> {
    const place = { tenant: connection.tenant, room };
    const member = memberOf(connection);
    const token = `${++this.#tokens}`;
    const info = `${entrance}\n${token}\n${instance}`;
    const held: Held = { place, connection, member, token, info, pending: true, told: false };
    return this.#inOrder(connection, async () => {
      const before = this.#holdings.get(place, member);
      // Before the answer, so that who takes the room away at once finds it held.
      this.#holdings.add(held);
      const answer = await this.#ask(() => this.#places.enter(place, member, held.info));
      held.pending = false;
      held.told = answer !== undefined;
      for (const kicked of answer?.value ?? []) this.#kick(place, kicked);
      if (answer?.value) return true;
      // Nobody refuses ANY: Redis is told later.
      if (!answer && entrance === "any") return true;
      if (this.#holdings.get(place, member) === held) this.#holdings.remove(held);
      if (answer) {
        if (before) this.#holdings.add(before);
        return false;
      }
      // The claim may come through yet.
      this.#keepGone(held);
      throw fail("ROOMS_UNAVAILABLE", "it cannot be told now who is in the room; try again", { retryAfterMs: 1000 });
    });
  }

  leave(connection: Connection, room?: string): Promise<void> {
    return this.#inOrder(connection, async () => {
      const holds = this.#holdings.of(connection);
      const left = room === undefined ? holds : holds.filter(({ place }) => place.room === room);
      for (const held of left) this.#holdings.remove(held);
      await Promise.all(left.map((held) => this.#tellGone(held)));
      if (left.some(({ place }) => place.room === undefined)) this.#changed(connection.tenant);
    });
  }

  async count(tenant: string | undefined, room?: string): Promise<OnlineTotals> {
    if (tenant === undefined) return this.#countAll();
    const place = { tenant, room };
    const answer = await this.#ask(() => this.#places.count(place));
    if (!answer) return this.#known.guess(place);
    this.#known.learn(place, answer.value);
    return answer.value;
  }

  async connections(tenant: string, users: readonly string[]): Promise<readonly number[]> {
    const answer = await this.#ask(() => Promise.all(users.map((user) => this.#open.get(user, tenant))));
    return answer?.value.map((open) => open ?? 0) ?? users.map((user) => this.#holdings.ofUser(online(tenant), user));
  }

  get leases(): number {
    return this.#holdings.size;
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
    if (this.#answers) {
      const leaves = this.#holdings.all().map((held) => this.#renewal.leave(held));
      for (const { tenant, room } of this.#holdings.places) if (room === undefined) this.#changes.add(tenant);
      const told = Promise.allSettled(leaves).then(() => this.#announce());
      await Promise.race([told, new Promise((end) => setTimeout(end, closeMs).unref())]);
    }
    clearTimeout(this.#quiet);
    this.#answers = false;
    this.#link.close();
  }

  /** One step of a connection after the other; the first starts at once, so that Redis gets them in the order of the calls. */
  async #inOrder<T>({ tenant, id }: Connection, step: () => Promise<T>): Promise<T> {
    const key = tenantKey(tenant, id);
    const before = this.#steps.get(key);
    const going = before ? before.then(step) : step();
    const settled = going.catch(() => {});
    this.#steps.set(key, settled);
    try {
      return await going;
    } finally {
      if (this.#steps.get(key) === settled) this.#steps.delete(key);
    }
  }

  /** The answer of Redis; undefined when there is none soon. */
  async #ask<T>(call: () => Promise<T>): Promise<{ readonly value: T } | undefined> {
    if (!this.#answers) return undefined;
    const deadline = new Deadline(timeoutMs, () => new Error(`no answer within ${timeoutMs} ms`));
    try {
      return { value: await deadline.race(call()) };
    } catch (error) {
      this.#silent(error);
      return undefined;
    }
  }

  async #tellGone(held: Held): Promise<void> {
    const answer = await this.#ask(() => this.#places.leave(held.place, [held.member]));
    if (!answer) this.#keepGone(held);
  }

  #keepGone(held: Held): void {
    if (this.#gone.size < maxGone) this.#gone.set(`${idOf(held.place)}\n${held.member}`, held);
  }

  async #countAll(): Promise<OnlineTotals> {
    const tenants = await this.#ask(() => this.#places.tenants());
    let [users, connections] = [0, 0];
    for (let from = 0; tenants && from < tenants.value.length; from += countedTogether) {
      const some = tenants.value.slice(from, from + countedTogether);
      const answer = await this.#ask(() => Promise.all(some.map((tenant) => this.#places.count(online(tenant)))));
      if (!answer) return this.#all;
      for (const tally of answer.value) {
        users += tally.users;
        connections += tally.connections;
      }
    }
    if (!tenants) return this.#all;
    this.#all = { users, connections, asOf: Date.now() };
    return { users, connections };
  }

  #tick(): void {
    if (!this.#link.isUp) this.#silent();
    else if (this.#renewal.hangsFor > stuckMs) this.#link.restart();
    else if (!this.#answers || this.#renewal.isDue) void this.#renew();
  }

  async #renew(): Promise<void> {
    try {
      const all = this.#forgot || this.#renewal.isDue;
      this.#forgot = false;
      const wasRun = await this.#renewal.run(all);
      if (!wasRun) this.#forgot ||= all;
      if (!wasRun || this.#closing || !this.#link.isUp) return;
      if (!this.#answers) this.#logger?.info("presence is connected to Redis");
      this.#answers = true;
    } catch (error) {
      this.#silent(error);
    }
  }

  #silent(error?: unknown): void {
    // Who takes over from a server that failed may not have been told all.
    if (error) this.#forgot = true;
    if (this.#answers === false || this.#closing) return;
    // At the start nothing is wrong yet.
    if (this.#answers === undefined && !error && this.#link.error === "") return;
    this.#answers = false;
    const reason = error instanceof Error ? error.message : this.#link.error || "the connection has closed";
    this.#logger?.warn({ reason }, "presence has lost Redis; counts are the last known ones until it is back");
  }

  #changed(tenant: string): void {
    this.#listeners.call({ type: "count", tenant });
    this.#changes.add(tenant);
    if (this.#quiet || this.#closing) return;
    void this.#announce();
    this.#quiet = setTimeout(() => {
      this.#quiet = undefined;
      if (this.#changes.size > 0) void this.#announce();
    }, announceMs).unref();
  }

  /** What is not heard is found out with the next renewal. */
  async #announce(): Promise<void> {
    const tenants = [...this.#changes];
    this.#changes.clear();
    if (!this.#answers || tenants.length === 0) return;
    await this.#link.commands.publish(this.#channel, JSON.stringify({ node: this.#node, tenants })).catch(() => {});
  }

  #hear(bytes: Buffer): void {
    const { node, tenants = [], tenant = "", room = "", kicked = [] } = decode(bytes);
    if (node !== this.#node) for (const each of tenants) this.#listeners.call({ type: "count", tenant: each });
    for (const [member, token] of kicked) this.#kick({ tenant, room }, { member, token });
  }

  /** Once, whoever tells it first: the answer of the script, the channel, or a renewal. */
  #kick(place: Place, { member, token }: Kicked): void {
    const held = this.#holdings.get(place, member);
    if (held?.token !== token) return;
    this.#holdings.remove(held);
    this.#listeners.call({ type: "kicked", connection: held.connection.id, room: place.room ?? "" });
  }
}

function online(tenant: string): Place {
  return { tenant, room: undefined };
}

/** A message of the channel: changed counts from a node, or kicks from a script. */
interface Told {
  readonly node?: string;
  readonly tenants?: readonly string[];
  readonly tenant?: string;
  readonly room?: string;
  readonly kicked?: readonly (readonly [member: string, token: string])[];
}

function decode(bytes: Buffer): Told {
  try {
    return JSON.parse(String(bytes)) as Told;
  } catch {
    return {};
  }
}
