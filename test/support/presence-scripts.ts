/** Random scripts of what happens to nodes that share a Redis; after each, all nodes tell exactly who is online. */
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { expect } from "vitest";
import { RedisPresence } from "../../src/adapters/redis/presence.ts";
import type { Connection } from "../../src/ports/presence.ts";
import { Cable } from "./cable.ts";
import { randomPrefix, type TestRedis } from "./redis.ts";

/** Short, so that a node that was killed is soon out of the count. */
const leaseMs = 300;
const withinMs = 10_000;
const nodes = 3;
/** A user may have several connections. */
const users = 5;

/** As long as a new node or a mended cable takes to get through. */
const pauseMs = 30;

/** One thing that happens: to a connection, or to the node or the cable of that number. */
const step = fc.record({
  id: fc.nat({ max: 11 }),
  node: fc.nat({ max: nodes - 1 }),
  does: fc.constantFrom(...often("enter", 4), ...often("pause", 3), ...often("move", 2), "leave", "cut", "kill"),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What happened in all scripts. */
export interface PresenceScripts {
  readonly steps: number;
  readonly moves: number;
  readonly cuts: number;
  readonly kills: number;
  /** Connections that nodes had told of when they were killed: only the end of their leases takes them out. */
  readonly orphans: number;
  /** By script, how long after its last step the last node was right, in ms. */
  readonly tookMs: readonly number[];
}

/** Runs so many scripts, with all steps between two pauses at once; throws after the first that leaves a node wrong. */
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

/** One life of a node, on a cable of its own. */
class Life {
  readonly cable: Cable;
  readonly presence: Promise<RedisPresence>;

  constructor(redis: TestRedis, prefix: string) {
    this.cable = new Cable(redis.port);
    this.presence = this.cable
      .open()
      .then((port) => new RedisPresence({ url: `redis://127.0.0.1:${port}`, prefix, leaseMs }));
  }

  /** Ends it. After `cable.pull` nothing that it says arrives, as when its process is killed. */
  async end(): Promise<void> {
    await (await this.presence).close();
    this.cable.close();
  }
}

interface Open {
  readonly life: Life;
  readonly stream: Connection;
  told: boolean;
}

class Stage implements PresenceScripts {
  steps = 0;
  moves = 0;
  cuts = 0;
  kills = 0;
  orphans = 0;
  readonly tookMs: number[] = [];
  readonly #redis: TestRedis;
  readonly #prefix = randomPrefix();
  readonly #lives: Life[];
  readonly #ending: Promise<void>[] = [];
  /** What is open, by its number in the scripts. */
  readonly #open = new Map<number, Open>();
  #tenant = "";
  #serial = 0;

  constructor(redis: TestRedis) {
    this.#redis = redis;
    this.#lives = Array.from({ length: nodes }, () => this.#begin());
  }

  /** One script, in a tenant of its own. */
  async play(script: readonly Step[]): Promise<void> {
    this.#tenant = `t${this.tookMs.length}`;
    const begun: Promise<void>[] = [];
    for (const each of script) {
      if (each.does === "pause") await Promise.all([sleep(pauseMs), ...begun]);
      else begun.push(this.#do(each));
    }
    await Promise.all(begun);
    const ended = performance.now();
    for (const { cable } of this.#lives) cable.plug();
    const right = this.#truth();
    for (const { presence } of this.#lives) {
      const node = await presence;
      await expect.poll(() => told(node, this.#tenant), { timeout: withinMs, interval: 5 }).toEqual(right);
    }
    this.tookMs.push(performance.now() - ended);
    await Promise.all([...this.#open.keys()].map((id) => this.#leave(id)));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#lives.map((life) => life.end()), ...this.#ending]);
  }

  /** At once, as far as it is known what is open; what Redis is told of it goes on together with other steps. */
  async #do({ id, node, does }: Step): Promise<void> {
    this.steps++;
    // Cables are not out for long: who is told nothing for a whole lease is out of the count, and rightly so.
    this.#lives[(node + 1) % nodes]?.cable.plug();
    if (does === "kill") this.#kill(node);
    else if (does === "cut") this.#cut(node);
    else if (does === "leave") await this.#leave(id);
    else if (does === "move") await Promise.all([this.#leave(id), this.#enter(id, node)]);
    else if (!this.#open.has(id)) await this.#enter(id, node);
    if (does === "move") this.moves++;
  }

  async #enter(id: number, node: number): Promise<void> {
    const life = this.#lives[node] as Life;
    // Each has an id of its own, as every stream does.
    const stream = { id: `${id}.${this.#serial++}`, tenant: this.#tenant, user: userOf(id) };
    const open = { life, stream, told: false };
    this.#open.set(id, open);
    const presence = await life.presence;
    await presence.enter(stream);
    open.told = presence.answers;
  }

  async #leave(id: number): Promise<void> {
    const was = this.#open.get(id);
    this.#open.delete(id);
    if (was) await (await was.life.presence).leave(was.stream);
  }

  #cut(node: number): void {
    this.cuts++;
    this.#lives[node]?.cable.pull();
  }

  /** Another life begins in its place; what was open is gone, and only leases are left of it. */
  #kill(node: number): void {
    this.kills++;
    const life = this.#lives[node] as Life;
    life.cable.pull();
    this.#ending.push(life.end());
    this.#lives[node] = this.#begin();
    for (const [id, open] of this.#open) {
      if (open.life !== life) continue;
      this.#open.delete(id);
      if (open.told) this.orphans++;
    }
  }

  #begin(): Life {
    return new Life(this.#redis, this.#prefix);
  }

  #truth() {
    const byUser = Array.from({ length: users }, () => 0);
    for (const id of this.#open.keys()) byUser[id % users] = (byUser[id % users] ?? 0) + 1;
    return { users: byUser.filter((count) => count > 0).length, connections: this.#open.size, byUser };
  }
}

function often<const T>(does: T, times: number): T[] {
  return Array.from({ length: times }, () => does);
}

function userOf(id: number): string {
  return `user-${id % users}`;
}

/** Who is online, as a node tells it once it has Redis to ask. */
async function told(node: RedisPresence, tenant: string) {
  while (!node.answers) await sleep(1);
  const all = Array.from({ length: users }, (_, id) => userOf(id));
  const [count, byUser] = await Promise.all([node.count(tenant), node.connections(tenant, all)]);
  return { ...count, byUser };
}
