import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { toEveryone, toTenant, toUser } from "../support/core.ts";
import { Caller, plainLines } from "./caller.ts";
import { check, type Finding } from "./checker.ts";
import { Device } from "./device.ts";
import { Dice } from "./dice.ts";
import { type FaultKind, Faults } from "./faults.ts";
import { History } from "./history.ts";
import { Host } from "./host.ts";
import { fairWeather, Network } from "./network.ts";
import { Publisher, type Target } from "./publisher.ts";
import { ReaderActs } from "./reader-acts.ts";
import { ReplicaSet } from "./replica-set.ts";
import { Scheduler } from "./scheduler.ts";
import { SimBusNet } from "./sim-bus.ts";
import { SimNode } from "./sim-node.ts";
import { SimPresenceNet } from "./sim-presence.ts";
import { right, type Wiring } from "./wiring.ts";

const tenant = "acme";
const faultKinds: readonly FaultKind[] = [
  "kill",
  "stop",
  "failover",
  "stall",
  "old primary",
  "store cut",
  "store loses",
  "store slow",
  "bus loses",
  "bus slow",
  "bus down",
  "clock",
];
/** What makes primaries change while much is under way. */
const stormKinds: readonly FaultKind[] = ["failover", "failover", "stall", "old primary", "store slow", "bus loses"];
const dayMs = 86_400_000;
/** Longer than anybody waits for anything, a sweep of the bus and the lease of a node included. */
const settleMs = 40_000;
/** Where a feed goes to sleep between two bursts, for longer than its messages are kept. */
const sleepMs = 66_000;
const shortLifeMs = 45_000;

/** What one seed came to. */
export interface Outcome {
  readonly seed: number;
  readonly findings: readonly Finding[];
  /** The story, a line per event. */
  readonly story: string;
  readonly published: number;
  readonly answered: number;
  readonly delivered: number;
  readonly rolledBack: number;
  readonly dropped: number;
  readonly calls: number;
}

/** What a seed decides before anything happens. */
interface Plan {
  readonly nodes: number;
  readonly publishes: number;
  readonly acts: number;
  readonly strikes: number;
  readonly burstMs: number;
  readonly kinds: readonly FaultKind[];
  readonly keep: number;
  readonly keepMs: number;
  readonly slowReaders: boolean;
  readonly longestStop: number;
  readonly commitMs: readonly [low: number, high: number];
  readonly rollback: number;
  readonly lineMs: readonly [low: number, high: number];
  /** Everything goes to one feed. */
  readonly hot: boolean;
  /** How often devices lose their line. */
  readonly cuts: number;
}

/** Plays one seed from beginning to end. */
export async function simulate(seed: number, wiring: Wiring = right): Promise<Outcome> {
  const world = new World(seed, wiring);
  return world.play();
}

class World {
  readonly #seed: number;
  readonly #dice: Dice;
  readonly #plan: Plan;
  readonly #scheduler = new Scheduler();
  readonly #history: History;
  readonly #replica: ReplicaSet;
  readonly #bus: SimBusNet;
  readonly #presence: SimPresenceNet;
  readonly #nodes: readonly SimNode[];
  readonly #faults: Faults;
  readonly #publisher: Publisher;
  readonly #acts: ReaderActs;
  readonly #devices: readonly Device[];
  #busy = 0;

  constructor(seed: number, wiring: Wiring) {
    this.#seed = seed;
    this.#dice = new Dice(seed);
    this.#plan = makePlan(this.#dice.fork());
    const { keep, keepMs, kinds, longestStop, nodes } = this.#plan;
    const dice = () => this.#dice.fork();
    const scheduler = this.#scheduler;
    this.#history = new History(() => scheduler.now);
    const tell = (line: string) => this.#history.tell(line);
    this.#replica = new ReplicaSet(scheduler, dice(), wiring);
    const hosts = Array.from({ length: nodes }, (_, index) => new Host(`node${index + 1}`, scheduler));
    this.#bus = new SimBusNet(scheduler, dice(), wiring, hosts);
    this.#presence = new SimPresenceNet(scheduler, plainLines(scheduler, dice()));
    this.#replica.weather.commitMs = this.#plan.commitMs;
    this.#replica.weather.rollback = this.#plan.rollback;
    const lines = new Network(scheduler, dice(), fairWeather(this.#plan.lineMs));
    if (wiring.announce === "written") this.#announceEarly();
    const shared = { wiring, replica: this.#replica, lines, bus: this.#bus, presence: this.#presence, keep, keepMs };
    this.#nodes = hosts.map(
      (host) => new SimNode(host, { ...shared, dice: dice(), logged: (line) => this.#history.alarm(line) }),
    );
    const victims = { scheduler, dice: dice(), nodes: this.#nodes, replica: this.#replica, bus: this.#bus, tell };
    this.#faults = new Faults({ ...victims, lines: lines.weather }, kinds, longestStop);
    const caller = new Caller(scheduler, dice(), this.#nodes);
    this.#publisher = new Publisher(scheduler, dice(), caller, this.#history);
    this.#acts = new ReaderActs(scheduler, dice(), caller, this.#history);
    const owners = [
      { name: "ann's phone", user: "ann" },
      { name: "ann's page", user: "ann" },
      { name: "bob's page", user: "bob" },
    ];
    this.#devices = owners.map(
      (owner) => new Device({ ...owner, tenant }, { scheduler, dice: dice(), caller, history: this.#history }),
    );
  }

  async play(): Promise<Outcome> {
    const { burstMs, keepMs } = this.#plan;
    this.#history.tell(`seed ${this.#seed}: ${JSON.stringify(this.#plan)}`);
    for (const node of this.#nodes) void node.start();
    for (const device of this.#devices) {
      this.#scheduler.at(this.#dice.between(0, burstMs / 2), () => void device.run());
      if (this.#plan.slowReaders) device.habits = { slowMs: 3000 };
    }
    this.#burst();
    await this.#scheduler.run(burstMs);
    if (keepMs < dayMs) {
      this.#faults.end();
      await this.#scheduler.run(burstMs + sleepMs);
      this.#burst();
      await this.#scheduler.run(this.#scheduler.now + burstMs);
    }
    this.#faults.end();
    for (const device of this.#devices) device.habits = { slowMs: 0 };
    await this.#scheduler.run(this.#scheduler.now + (keepMs < dayMs ? 26_000 : settleMs));
    const findings = this.#check();
    findings.push(...(await this.#close()));
    const { publishes, devices, text } = this.#history;
    return {
      seed: this.#seed,
      findings,
      story: text,
      published: publishes.length,
      answered: publishes.filter(({ answered }) => answered).length,
      delivered: devices.reduce((sum, { delivered }) => sum + delivered.length, 0),
      rolledBack: this.#replica.rolledBack,
      dropped: this.#bus.dropped,
      calls: this.#scheduler.made,
    };
  }

  /** A while in which everything happens. */
  #burst(): void {
    const { publishes, acts, strikes, burstMs, cuts } = this.#plan;
    const dice = this.#dice;
    const some = (count: number, call: () => void) => {
      for (let index = 0; index < count; index++) this.#scheduler.at(dice.between(0, burstMs), call);
    };
    const busily = (work: () => Promise<unknown>) => {
      this.#busy++;
      void work().finally(() => this.#busy--);
    };
    some(publishes, () => {
      const target = this.#target();
      // Racing for the same feed, at times.
      for (let count = dice.chance(0.2) ? dice.integer(2, 5) : 1; count > 0; count--) {
        busily(() => this.#publisher.publish(target));
      }
    });
    some(acts, () => busily(() => this.#acts.act(dice.pick(this.#devices))));
    some(dice.chance(0.5) ? 1 : 0, () => busily(() => this.#acts.recall(tenant)));
    some(strikes, () => this.#faults.strike());
    some(dice.integer(0, cuts), () => dice.pick(this.#devices).cut());
  }

  #target(): Target {
    // Where clocks disagree, so do nodes on what has expired.
    const mortal = !this.#plan.kinds.includes("clock") && this.#dice.chance(0.1);
    return { ...this.#audience(), ttlMs: mortal ? this.#dice.integer(100, 15_000) : 0 };
  }

  #audience(): Omit<Target, "ttlMs"> {
    if (this.#plan.hot) {
      return { feed: `${tenant}\ntenant`, tenant, to: toTenant, kind: Kind.NOTIFICATION };
    }
    const kind = this.#dice.pick([Kind.NOTIFICATION, Kind.NOTIFICATION, Kind.NOTIFICATION, Kind.ACTIVITY]);
    if (kind === Kind.ACTIVITY) return { feed: `${tenant}\nactivity`, tenant, to: toTenant, kind };
    const to = this.#dice.pick(["ann", "ann", "bob", "tenant", "tenant", "everyone"]);
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
    if (this.#busy > 0) findings.push({ kind: "stuck", detail: `${this.#busy} calls have not ended` });
    for (const { core, host } of this.#nodes) {
      if (!core) findings.push({ kind: "stuck", detail: `${host.name} did not start` });
    }
    return findings;
  }

  /** Everybody goes: nothing may be left. */
  async #close(): Promise<Finding[]> {
    for (const device of this.#devices) device.close();
    await this.#scheduler.run(this.#scheduler.now + 2_000);
    const findings: Finding[] = [];
    const left = (host: Host, what: string, count: number) => {
      if (count > 0) findings.push({ kind: "left over", detail: `${host.name} has ${count} ${what}` });
    };
    for (const { core, host } of this.#nodes) {
      left(host, "feeds and users", core?.context.hub.size ?? 0);
      left(host, "streams", core?.context.streams.size ?? 0);
    }
    const { connections } = await this.#presence.shared.count(undefined);
    if (connections > 0) findings.push({ kind: "left over", detail: `${connections} connections are online` });
    const closed = Promise.all(this.#nodes.map((node) => node.close()));
    await this.#scheduler.run(this.#scheduler.now + 3_000);
    await closed;
    for (const { host } of this.#nodes) left(host, "timers", host.timers);
    return findings;
  }

  /** Known wrong: whoever hears of a message before it has a majority may hear of one that is lost. */
  #announceEarly(): void {
    this.#replica.onWritten = ({ feed, seq, append: { id, body, expireTime } }) => {
      const [tenant = "", name = ""] = feed.split("\n");
      this.#bus.inject({ type: "entry", feed: { tenant, name }, epoch: 1, seq, id, body, expireTime });
    };
  }
}

function makePlan(dice: Dice): Plan {
  const shortLife = dice.chance(0.15);
  const storm = dice.chance(0.3);
  const kinds = (storm ? stormKinds : faultKinds).filter(
    (kind) => dice.chance(storm ? 0.7 : 0.4) && !(shortLife && kind === "clock"),
  );
  return {
    nodes: dice.integer(1, 3),
    publishes: dice.integer(5, 30),
    acts: dice.integer(0, 8),
    strikes: dice.integer(0, storm ? 25 : 10),
    burstMs: dice.between(2_000, 12_000),
    kinds,
    keep: dice.chance(0.3) ? dice.integer(3, 10) : 10_000,
    keepMs: shortLife ? shortLifeMs : 30 * dayMs,
    slowReaders: dice.chance(0.3),
    longestStop: 15_000,
    commitMs: [1, dice.pick(storm ? [40, 300, 1000] : [4, 4, 40, 300])],
    rollback: dice.pick([0.2, 0.5, 0.8]),
    lineMs: [0.2, dice.pick([3, 3, 60])],
    hot: storm || dice.chance(0.2),
    cuts: dice.pick([2, 4, 20]),
  };
}
