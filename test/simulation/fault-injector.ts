import { dayMs } from "../../src/util/durations.ts";
import type { ReplicaConditions, ReplicaSet } from "./backends/replica-set.ts";
import type { BusConditions, SimBus } from "./backends/sim-bus.ts";
import type { Host } from "./runtime/host.ts";
import type { LinkConditions } from "./runtime/network.ts";
import type { Scheduler } from "./runtime/scheduler.ts";
import type { SeededRandom } from "./runtime/seeded-random.ts";
import type { SimNode } from "./sim-node.ts";

/** The kinds of faults. */
export type FaultKind =
  | "kill"
  | "pause"
  | "failover"
  | "no majority"
  | "deposed primary"
  | "store partition"
  | "store loss"
  | "store delay"
  | "bus loss"
  | "bus delay"
  | "bus down"
  | "clock skew";

/** The system that faults are injected into. */
export interface FaultTargets {
  readonly scheduler: Scheduler;
  readonly random: SeededRandom;
  readonly nodes: readonly SimNode[];
  readonly replica: ReplicaSet;
  readonly storeLinks: LinkConditions;
  readonly bus: SimBus;
  readonly log: (line: string) => void;
}

/** Injects faults, and ends all of them. */
export class FaultInjector {
  readonly #targets: FaultTargets;
  readonly #kinds: readonly FaultKind[];
  /** The longest pause of a node, in ms. */
  readonly #maxPauseMs: number;
  #ended = false;
  readonly #effects: Readonly<Record<FaultKind, (node: SimNode) => void>> = {
    kill: (node) => this.#kill(node),
    pause: ({ host }) => this.#pause(host),
    failover: () => this.#failover(40),
    "no majority": () => this.#stallMajority(),
    "deposed primary": ({ host }) => this.#useDeposedPrimary(host),
    "store partition": ({ host }) => this.#partition(host),
    "store loss": () => this.#changeLinks("the store's links lose messages", { requestLoss: 0.1, responseLoss: 0.2 }),
    "store delay": () =>
      this.#changeLinks("the store is slow", { delayMs: [5, this.#targets.random.between(20, 900)] }),
    "bus loss": () =>
      this.#changeBus("the bus loses notices", { drop: this.#targets.random.between(0.1, 0.9), repeat: 0.1 }),
    "bus delay": () => this.#changeBus("the bus is slow", { delayMs: [1, this.#targets.random.between(50, 2000)] }),
    "bus down": () => this.#changeBus("the bus is down", { down: true }),
    "clock skew": ({ host }) => this.#skewClock(host),
  };

  /** `kinds`: the kinds of faults to inject. */
  constructor(targets: FaultTargets, kinds: readonly FaultKind[], maxPauseMs: number) {
    this.#targets = targets;
    this.#kinds = kinds;
    this.#maxPauseMs = maxPauseMs;
  }

  /** Injects one fault, of a random kind and into a random node. */
  inject(): void {
    if (this.#ended || this.#kinds.length === 0) return;
    this.#effects[this.#targets.random.pick(this.#kinds)](this.#targets.random.pick(this.#targets.nodes));
  }

  /** Ends all faults; from now on `inject` has no effect. */
  end(): void {
    this.#ended = true;
    const { nodes, replica, storeLinks, bus } = this.#targets;
    for (const node of nodes) {
      node.host.skew = 0;
      if (node.host.isPaused) this.#resume(node.host);
      replica.useCurrentPrimary(node.host);
    }
    Object.assign(replica.conditions, { stalledUntil: 0 } satisfies Partial<ReplicaConditions>);
    storeLinks.partitioned.clear();
    const links: Partial<LinkConditions> = { delayMs: [0.2, 3], requestLoss: 0, responseLoss: 0 };
    Object.assign(storeLinks, links);
    Object.assign(bus.conditions, { delayMs: [0.2, 3], drop: 0, repeat: 0, down: false } satisfies BusConditions);
    this.#targets.log("all faults have ended");
  }

  /** Waits for a write without a majority, because only such a write can be rolled back. */
  #failover(retries: number): void {
    const { random, log, replica, scheduler } = this.#targets;
    if (this.#ended) return;
    if (!replica.isWriting && retries > 0) {
      scheduler.at(random.between(1, 40), () => this.#failover(retries - 1));
      return;
    }
    const electionMs = random.between(1, 600);
    const before = replica.rolledBack;
    replica.failover(electionMs);
    log(`failover for ${electionMs.toFixed()} ms, ${replica.rolledBack - before} writes rolled back`);
  }

  #stallMajority(): void {
    const { random, log, replica, scheduler } = this.#targets;
    const ms = random.between(20, 2000);
    log(`no majority for ${ms.toFixed()} ms`);
    replica.conditions.stalledUntil = scheduler.now + ms;
  }

  /** The driver of the node keeps using a primary that was deposed. */
  #useDeposedPrimary(host: Host): void {
    const { random, replica } = this.#targets;
    replica.useDeposedPrimary(host);
    this.#during(`${host.name} uses a deposed primary`, random.between(50, 4000), () =>
      replica.useCurrentPrimary(host),
    );
  }

  #partition(host: Host): void {
    const { random, storeLinks } = this.#targets;
    storeLinks.partitioned.add(host);
    this.#during(`${host.name} is partitioned from the store`, random.between(50, 4000), () =>
      storeLinks.partitioned.delete(host),
    );
  }

  #skewClock(host: Host): void {
    const { random, log } = this.#targets;
    const maxMs = random.chance(0.3) ? 400 * dayMs : 3_600_000;
    host.skew = random.chance(0.3) ? 0 : Math.floor(random.between(-maxMs, maxMs));
    log(`the clock of ${host.name} is ${host.skew} ms off`);
  }

  #kill(node: SimNode): void {
    if (!node.core) return;
    const { log, random, scheduler } = this.#targets;
    log(`${node.host.name} is killed`);
    node.kill();
    scheduler.at(random.between(10, 3000), () => {
      log(`${node.host.name} starts`);
      this.#targets.bus.suspect(node.host);
      void node.start();
    });
  }

  #pause(host: Host): void {
    if (host.isPaused) return;
    const { random, log, bus } = this.#targets;
    host.pause();
    const ms = random.chance(0.5) ? random.between(20, 1500) : random.between(1500, this.#maxPauseMs);
    log(`${host.name} is paused for ${ms.toFixed()} ms`);
    bus.suspect(host);
    const { incarnation } = host;
    this.#targets.scheduler.at(ms, () => {
      if (incarnation === host.incarnation && host.isPaused) this.#resume(host);
    });
  }

  #resume(host: Host): void {
    this.#targets.log(`${host.name} resumes`);
    host.resume();
    this.#targets.bus.suspect(host);
  }

  #changeLinks(name: string, change: Partial<LinkConditions>): void {
    this.#change(name, this.#targets.storeLinks, change);
  }

  #changeBus(name: string, change: Partial<BusConditions>): void {
    this.#change(name, this.#targets.bus.conditions, change);
  }

  #change<T extends object>(name: string, conditions: T, change: Partial<T>): void {
    const before = Object.fromEntries(Object.keys(change).map((key) => [key, conditions[key as keyof T]]));
    Object.assign(conditions, change);
    this.#during(name, this.#targets.random.between(100, 4000), () => Object.assign(conditions, before));
  }

  #during(name: string, ms: number, end: () => unknown): void {
    const { log, scheduler } = this.#targets;
    log(`${name} for ${ms.toFixed()} ms`);
    scheduler.at(ms, () => {
      if (this.#ended) return;
      log(`no longer: ${name}`);
      end();
    });
  }
}
