/** Random scripts of events on nodes that share a Redis. After each, every node must count exactly what is open. */
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { expect } from "vitest";
import { RedisPresence } from "../../src/adapters/redis/presence.ts";
import type { Connection } from "../../src/ports/presence.ts";
import { Cable } from "./cable.ts";
import { randomPrefix, type TestRedis } from "./redis.ts";

/** Short, so that the connections of a killed node are soon gone. */
const leaseMs = 300;
const withinMs = 10_000;
const nodes = 3;
/** Fewer than connections, so that a user may have several. */
const users = 5;

/** About the time that a new node, or one whose cable is plugged in again, takes to connect. */
const pauseMs = 30;

/** One event: of the connection `id`, of the node or cable `node`, or of a key of Redis, which loses it. */
const step = fc.record({
  id: fc.nat({ max: 11 }),
  node: fc.nat({ max: nodes - 1 }),
  action: fc.constantFrom(
    ...often("enter", 4),
    ...often("pause", 3),
    ...often("move", 2),
    "leave",
    "cut",
    "kill",
    "lose",
  ),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** The events of all scripts. */
export interface PresenceScripts {
  readonly steps: number;
  readonly moves: number;
  readonly cuts: number;
  readonly kills: number;
  readonly lostKeys: number;
  /** Connections that were in Redis when their node was killed: only the end of their leases removes them. */
  readonly orphans: number;
  /** By script, the time from its last event until every node counted exactly, in ms. */
  readonly tookMs: readonly number[];
}

/** Runs `count` scripts; the events between two pauses happen at once. Throws when one leaves a node wrong. */
export async function runPresenceScripts(redis: TestRedis, count: number, seed?: number): Promise<PresenceScripts> {
  const stage = new Stage(redis);
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 50 }), (script) => stage.play(script)),
      { numRuns: count, endOnFailure: true, ...(seed === undefined ? {} : { seed }) },
    );
    return stage;
  } finally {
    await stage.close();
  }
}

/** One process of a node, which reaches Redis through a cable of its own. */
class Incarnation {
  readonly cable: Cable;
  readonly presence: Promise<RedisPresence>;

  constructor(redis: TestRedis, prefix: string) {
    this.cable = new Cable(redis.port);
    this.presence = this.cable
      .open()
      .then((port) => new RedisPresence({ url: `redis://127.0.0.1:${port}`, prefix, leaseMs }));
  }

  /** Ends it. After `cable.pull` nothing that it sends arrives, as when a process is killed. */
  async end(): Promise<void> {
    await (await this.presence).close();
    this.cable.close();
  }
}

interface OpenStream {
  readonly node: Incarnation;
  readonly connection: Connection;
  /** Redis has a lease for it. */
  leased: boolean;
}

class Stage implements PresenceScripts {
  steps = 0;
  moves = 0;
  cuts = 0;
  kills = 0;
  lostKeys = 0;
  orphans = 0;
  readonly tookMs: number[] = [];
  readonly #redis: TestRedis;
  readonly #prefix = randomPrefix();
  readonly #nodes: Incarnation[];
  readonly #ending: Promise<void>[] = [];
  /** The open streams, by their number in the scripts. */
  readonly #open = new Map<number, OpenStream>();
  #tenant = "";
  #serial = 0;

  constructor(redis: TestRedis) {
    this.#redis = redis;
    this.#nodes = Array.from({ length: nodes }, () => this.#begin());
  }

  /** Plays one script, in a tenant of its own. */
  async play(script: readonly Step[]): Promise<void> {
    this.#tenant = `t${this.tookMs.length}`;
    const running: Promise<void>[] = [];
    for (const each of script) {
      if (each.action === "pause") await Promise.all([sleep(pauseMs), ...running]);
      else running.push(this.#do(each));
    }
    await Promise.all(running);
    const ended = performance.now();
    for (const { cable } of this.#nodes) cable.plug();
    const exact = this.#exactCounts();
    for (const { presence } of this.#nodes) {
      const node = await presence;
      await expect.poll(() => countsOf(node, this.#tenant), { timeout: withinMs, interval: 5 }).toEqual(exact);
    }
    this.tookMs.push(performance.now() - ended);
    await Promise.all([...this.#open.keys()].map((id) => this.#leave(id)));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#nodes.map((node) => node.end()), ...this.#ending]);
  }

  /** Plays one event. The open streams change before this returns; Redis may learn of it during later events. */
  async #do({ id, node, action }: Step): Promise<void> {
    this.steps++;
    // Cables are not out for long: a node that is cut off for a whole lease rightly loses its connections.
    this.#nodes[(node + 1) % nodes]?.cable.plug();
    if (action === "kill") this.#kill(node);
    else if (action === "cut") this.#cut(node);
    else if (action === "lose") await this.#loseKey(id);
    else if (action === "leave") await this.#leave(id);
    else if (action === "move") await Promise.all([this.#leave(id), this.#enter(id, node)]);
    else if (!this.#open.has(id)) await this.#enter(id, node);
    if (action === "move") this.moves++;
  }

  async #enter(id: number, node: number): Promise<void> {
    const home = this.#nodes[node] as Incarnation;
    // A new id for each, as streams have.
    const connection = { id: `${id}.${this.#serial++}`, tenant: this.#tenant, user: userOf(id) };
    const open = { node: home, connection, leased: false };
    this.#open.set(id, open);
    const presence = await home.presence;
    await presence.enter(connection);
    open.leased = presence.isConnected;
  }

  async #leave(id: number): Promise<void> {
    const stream = this.#open.get(id);
    this.#open.delete(id);
    if (stream) await (await stream.node.presence).leave(stream.connection);
  }

  async #loseKey(number: number): Promise<void> {
    const keys = (await this.#redis.call("KEYS", `${this.#prefix}:*`)) as string[];
    const key = keys.sort()[number % keys.length];
    if (key === undefined) return;
    this.lostKeys++;
    await this.#redis.call("DEL", key);
  }

  #cut(node: number): void {
    this.cuts++;
    this.#nodes[node]?.cable.pull();
  }

  /** Replaces a node by a new one. Its streams are gone; their leases are left in Redis. */
  #kill(node: number): void {
    this.kills++;
    const killed = this.#nodes[node] as Incarnation;
    killed.cable.pull();
    this.#ending.push(killed.end());
    this.#nodes[node] = this.#begin();
    for (const [id, open] of this.#open) {
      if (open.node !== killed) continue;
      this.#open.delete(id);
      if (open.leased) this.orphans++;
    }
  }

  #begin(): Incarnation {
    return new Incarnation(this.#redis, this.#prefix);
  }

  #exactCounts() {
    const byUser = Array.from({ length: users }, () => 0);
    for (const id of this.#open.keys()) byUser[id % users] = (byUser[id % users] ?? 0) + 1;
    return { users: byUser.filter((count) => count > 0).length, connections: this.#open.size, byUser };
  }
}

function often<const T>(action: T, times: number): T[] {
  return Array.from({ length: times }, () => action);
}

function userOf(id: number): string {
  return `user-${id % users}`;
}

/** Returns the counts of a node, once it is connected to Redis. */
async function countsOf(node: RedisPresence, tenant: string) {
  while (!node.isConnected) await sleep(1);
  const all = Array.from({ length: users }, (_, id) => userOf(id));
  const [count, byUser] = await Promise.all([node.count(tenant), node.connections(tenant, all)]);
  return { ...count, byUser };
}
