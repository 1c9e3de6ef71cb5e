import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { dayMs } from "../../src/util/durations.ts";
import { quarantineMs } from "../../src/util/steady-clock.ts";
import { toEveryone, toTenant, toUser } from "../support/core.ts";
import { ReplicaSet } from "./backends/replica-set.ts";
import { SimBus } from "./backends/sim-bus.ts";
import { SimPresence } from "./backends/sim-presence.ts";
import { check, type Finding } from "./check/checker.ts";
import { History } from "./check/history.ts";
import { Device } from "./clients/device.ts";
import { LoadBalancer, reliableNetwork } from "./clients/load-balancer.ts";
import { type Destination, Publisher } from "./clients/publisher.ts";
import { Reader } from "./clients/reader.ts";
import { FaultInjector, type FaultKind } from "./fault-injector.ts";
import { Host } from "./runtime/host.ts";
import { Network, noFaults } from "./runtime/network.ts";
import { Scheduler } from "./runtime/scheduler.ts";
import { SeededRandom } from "./runtime/seeded-random.ts";
import { SimNode } from "./sim-node.ts";
import { correct, type Variant } from "./variant.ts";

const tenant = "acme";
const allFaults: readonly FaultKind[] = [
  "kill",
  "pause",
  "failover",
  "no majority",
  "deposed primary",
  "store partition",
  "store loss",
  "store delay",
  "bus loss",
  "bus delay",
  "bus down",
  "clock skew",
];
/** Faults of seeds that stress failovers: they change primaries while many writes are in flight. */
const failoverFaults: readonly FaultKind[] = [
  "failover",
  "failover",
  "no majority",
  "deposed primary",
  "store delay",
  "bus loss",
];
/** Longer than any timeout, a sweep of the bus and the lease of a node included. */
const settleMs = 40_000;
/** With a short retention: the pause between two bursts, in which all messages of a feed are trimmed. */
const idleMs = 66_000;
const shortRetentionMs = 45_000;

/** The result of one seed. */
export interface Outcome {
  readonly seed: number;
  readonly findings: readonly Finding[];
  /** The log, one line per event. */
  readonly log: string;
  readonly published: number;
  readonly answered: number;
  readonly delivered: number;
  /** Writes that failovers rolled back. */
  readonly rolledBack: number;
  /** Notices that the bus dropped. */
  readonly dropped: number;
  /** Calls of the scheduler. */
  readonly calls: number;
}

/** The parameters of a seed, drawn before the simulation starts. */
interface Plan {
  readonly nodes: number;
  readonly publishes: number;
  /** Marks and deletions. */
  readonly marks: number;
  readonly faults: number;
  /** The time in which all of these happen. */
  readonly burstMs: number;
  readonly kinds: readonly FaultKind[];
  /** Messages kept per feed. */
  readonly keep: number;
  /** How long messages are kept. */
  readonly keepMs: number;
  /** Devices sometimes stop reading. */
  readonly slowReaders: boolean;
  readonly maxPauseMs: number;
  readonly commitMs: readonly [low: number, high: number];
  readonly rollback: number;
  readonly linkMs: readonly [low: number, high: number];
  /** All messages go to one feed. */
  readonly oneFeed: boolean;
  /** The maximum number of cut connections of devices. */
  readonly cuts: number;
  /** The memory of a node for recent messages, in bytes: none, a few messages, or plenty. */
  readonly ringBytes: number;
}

/** Runs one seed. */
export async function simulate(seed: number, variant: Variant = correct): Promise<Outcome> {
  const simulation = new Simulation(seed, variant);
  return simulation.run();
}

class Simulation {
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #plan: Plan;
  readonly #scheduler = new Scheduler();
  readonly #history: History;
  readonly #replica: ReplicaSet;
  readonly #bus: SimBus;
  readonly #presence: SimPresence;
  readonly #nodes: readonly SimNode[];
  readonly #faults: FaultInjector;
  readonly #publisher: Publisher;
  readonly #reader: Reader;
  readonly #devices: readonly Device[];
  /** Calls of publisher and reader that have not ended. */
  #inFlight = 0;

  constructor(seed: number, variant: Variant) {
    this.#seed = seed;
    this.#random = new SeededRandom(seed);
    this.#plan = makePlan(this.#random.fork());
    const { keep, keepMs, kinds, maxPauseMs, nodes, ringBytes } = this.#plan;
    const fork = () => this.#random.fork();
    const scheduler = this.#scheduler;
    this.#history = new History(() => scheduler.now);
    this.#replica = new ReplicaSet(scheduler, fork(), variant);
    const hosts = Array.from({ length: nodes }, (_, index) => new Host(`node${index + 1}`, scheduler));
    this.#bus = new SimBus(scheduler, fork(), variant, hosts);
    this.#presence = new SimPresence(scheduler, reliableNetwork(scheduler, fork()));
    this.#replica.conditions.commitMs = this.#plan.commitMs;
    this.#replica.conditions.rollback = this.#plan.rollback;
    const storeNetwork = new Network(scheduler, fork(), noFaults(this.#plan.linkMs));
    if (variant.notify === "written") this.#notifyEarly();
    const shared = {
      variant,
      replica: this.#replica,
      storeNetwork,
      bus: this.#bus,
      presence: this.#presence,
      keep,
      keepMs,
      ringBytes,
    };
    this.#nodes = hosts.map((host) => new SimNode(host, { ...shared, random: fork() }));
    const targets = { scheduler, random: fork(), nodes: this.#nodes, replica: this.#replica, bus: this.#bus };
    const log = (line: string) => this.#history.log(line);
    this.#faults = new FaultInjector({ ...targets, storeLinks: storeNetwork.conditions, log }, kinds, maxPauseMs);
    const balancer = new LoadBalancer(scheduler, fork(), this.#nodes);
    this.#publisher = new Publisher(scheduler, fork(), balancer, this.#history);
    this.#reader = new Reader(scheduler, fork(), balancer, this.#history);
    const owners = [
      { name: "ann's phone", user: "ann" },
      { name: "ann's page", user: "ann" },
      { name: "bob's page", user: "bob" },
    ];
    this.#devices = owners.map(
      (owner) => new Device({ ...owner, tenant }, { scheduler, random: fork(), balancer, history: this.#history }),
    );
  }

  async run(): Promise<Outcome> {
    const { burstMs, keepMs } = this.#plan;
    this.#history.log(`seed ${this.#seed}: ${JSON.stringify(this.#plan)}`);
    for (const node of this.#nodes) void node.start();
    // Retention deletes nothing before the clocks have run evenly for a quarantine.
    if (keepMs < dayMs) await this.#scheduler.run(quarantineMs);
    for (const device of this.#devices) {
      this.#scheduler.at(this.#random.between(0, burstMs / 2), () => void device.run());
      if (this.#plan.slowReaders) device.maxStallMs = 3000;
    }
    this.#burst();
    await this.#scheduler.run(this.#scheduler.now + burstMs);
    if (keepMs < dayMs) {
      this.#faults.end();
      await this.#scheduler.run(this.#scheduler.now + idleMs);
      this.#burst();
      await this.#scheduler.run(this.#scheduler.now + burstMs);
    }
    this.#faults.end();
    for (const device of this.#devices) device.maxStallMs = 0;
    await this.#scheduler.run(this.#scheduler.now + (keepMs < dayMs ? 26_000 : settleMs));
    const findings = this.#check();
    findings.push(...(await this.#close()));
    const { publishes, devices, text } = this.#history;
    return {
      seed: this.#seed,
      findings,
      log: text,
      published: publishes.length,
      answered: publishes.filter(({ answered }) => answered).length,
      delivered: devices.reduce((sum, { delivered }) => sum + delivered.length, 0),
      rolledBack: this.#replica.rolledBack,
      dropped: this.#bus.dropped,
      calls: this.#scheduler.calls,
    };
  }

  /** Schedules publishes, marks, recalls, faults and cut connections at random times within the next `burstMs`. */
  #burst(): void {
    const { publishes, marks, faults, burstMs, cuts } = this.#plan;
    const random = this.#random;
    const schedule = (count: number, call: () => void) => {
      for (let index = 0; index < count; index++) this.#scheduler.at(random.between(0, burstMs), call);
    };
    const track = (work: () => Promise<unknown>) => {
      this.#inFlight++;
      void work().finally(() => this.#inFlight--);
    };
    schedule(publishes, () => {
      const destination = this.#pickDestination();
      // Sometimes several publishes race for the same feed.
      for (let count = random.chance(0.2) ? random.integer(2, 5) : 1; count > 0; count--) {
        track(() => this.#publisher.publish(destination));
      }
    });
    schedule(marks, () => track(() => this.#reader.mark(random.pick(this.#devices))));
    schedule(random.chance(0.5) ? 1 : 0, () => track(() => this.#reader.recall(tenant)));
    schedule(faults, () => this.#faults.inject());
    schedule(random.integer(0, cuts), () => random.pick(this.#devices).disconnect());
  }

  #pickDestination(): Destination {
    const expires = this.#random.chance(0.1);
    return { ...this.#pickAudience(), ttlMs: expires ? this.#random.integer(100, 15_000) : 0 };
  }

  #pickAudience(): Omit<Destination, "ttlMs"> {
    if (this.#plan.oneFeed) {
      return { feed: `${tenant}\ntenant`, tenant, to: toTenant, kind: Kind.NOTIFICATION };
    }
    const kind = this.#random.pick([Kind.NOTIFICATION, Kind.NOTIFICATION, Kind.NOTIFICATION, Kind.ACTIVITY]);
    if (kind === Kind.ACTIVITY) return { feed: `${tenant}\nactivity`, tenant, to: toTenant, kind };
    const to = this.#random.pick(["ann", "ann", "bob", "tenant", "tenant", "everyone"]);
    if (to === "everyone") return { feed: "\neveryone", tenant: undefined, to: toEveryone, kind };
    if (to === "tenant") return { feed: `${tenant}\ntenant`, tenant, to: toTenant, kind };
    return { feed: `${tenant}\nuser/${to}`, tenant, to: toUser(to), kind };
  }

  #check(): Finding[] {
    const findings = check({
      history: this.#history,
      documents: this.#replica.majority,
      inserted: this.#replica.inserted,
      keep: this.#plan.keep,
      now: this.#nodes[0]?.host.clock.now() ?? 0,
    });
    if (this.#inFlight > 0) findings.push({ kind: "stuck", detail: `${this.#inFlight} calls have not ended` });
    for (const { core, host } of this.#nodes) {
      if (!core) findings.push({ kind: "stuck", detail: `${host.name} did not start` });
    }
    return findings;
  }

  /** Closes all devices and nodes, and returns the resources that are still in use. */
  async #close(): Promise<Finding[]> {
    for (const device of this.#devices) device.close();
    await this.#scheduler.run(this.#scheduler.now + 2_000);
    const findings: Finding[] = [];
    const expectNone = (host: Host, name: string, count: number) => {
      if (count > 0) findings.push({ kind: "leak", detail: `${host.name} has ${count} ${name}` });
    };
    for (const { core, host } of this.#nodes) {
      expectNone(host, "feeds and users", core?.context.hub.size ?? 0);
      expectNone(host, "streams", core?.context.streams.size ?? 0);
    }
    const { connections } = await this.#presence.shared.count(undefined);
    if (connections > 0) findings.push({ kind: "leak", detail: `${connections} connections are online` });
    const closed = Promise.all(this.#nodes.map((node) => node.close()));
    await this.#scheduler.run(this.#scheduler.now + 3_000);
    await closed;
    for (const { host } of this.#nodes) expectNone(host, "timers", host.timers);
    return findings;
  }

  /** A mistake on purpose: nodes are notified of a message before it has a majority, so it may still be rolled back. */
  #notifyEarly(): void {
    this.#replica.onWritten = ({ feed, seq, append: { id, body, expireTime } }) => {
      const [tenant = "", name = ""] = feed.split("\n");
      this.#bus.inject({ type: "entry", feed: { tenant, name }, epoch: 1, seq, id, body, expireTime });
    };
  }
}

function makePlan(random: SeededRandom): Plan {
  const shortRetention = random.chance(0.15);
  const stressFailover = random.chance(0.3);
  const kinds = (stressFailover ? failoverFaults : allFaults).filter(() => random.chance(stressFailover ? 0.7 : 0.4));
  return {
    nodes: random.integer(1, 3),
    publishes: random.integer(5, 30),
    marks: random.integer(0, 8),
    faults: random.integer(0, stressFailover ? 25 : 10),
    burstMs: random.between(2_000, 12_000),
    kinds,
    keep: random.chance(0.3) ? random.integer(3, 10) : 10_000,
    keepMs: shortRetention ? shortRetentionMs : 30 * dayMs,
    slowReaders: random.chance(0.3),
    maxPauseMs: 15_000,
    commitMs: [1, random.pick(stressFailover ? [40, 300, 1000] : [4, 4, 40, 300])],
    rollback: random.pick([0.2, 0.5, 0.8]),
    linkMs: [0.2, random.pick([3, 3, 60])],
    oneFeed: stressFailover || random.chance(0.2),
    cuts: random.pick([2, 4, 20]),
    ringBytes: random.pick([0, 6_000, 16 * 1024 * 1024]),
  };
}
