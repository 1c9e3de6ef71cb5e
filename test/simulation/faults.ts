import type { Dice } from "./dice.ts";
import type { Host } from "./host.ts";
import type { LineWeather } from "./network.ts";
import type { ReplicaSet, ReplicaWeather } from "./replica-set.ts";
import type { Scheduler } from "./scheduler.ts";
import type { BusWeather, SimBusNet } from "./sim-bus.ts";
import type { SimNode } from "./sim-node.ts";

/** What can go wrong. */
export type FaultKind =
  | "kill"
  | "stop"
  | "failover"
  | "stall"
  | "old primary"
  | "store cut"
  | "store loses"
  | "store slow"
  | "bus loses"
  | "bus slow"
  | "bus down"
  | "clock";

/** What faults befall. */
export interface Victims {
  readonly scheduler: Scheduler;
  readonly dice: Dice;
  readonly nodes: readonly SimNode[];
  readonly replica: ReplicaSet;
  readonly lines: LineWeather;
  readonly bus: SimBusNet;
  readonly tell: (line: string) => void;
}

/** Lets things go wrong, and makes all well again. */
export class Faults {
  readonly #victims: Victims;
  readonly #kinds: readonly FaultKind[];
  /** How long a node stands still at most, in ms. */
  readonly #longestStop: number;
  #over = false;
  readonly #effects: Readonly<Record<FaultKind, (node: SimNode) => void>> = {
    kill: (node) => this.#kill(node),
    stop: ({ host }) => this.#stop(host),
    failover: () => this.#failover(40),
    stall: () => this.#stall(),
    "old primary": ({ host }) => this.#oldPrimary(host),
    "store cut": ({ host }) => this.#cut(host),
    "store loses": () => this.#lines("the store's lines lose", { lost: 0.1, unanswered: 0.2 }),
    "store slow": () => this.#lines("the store is slow", { delayMs: [5, this.#victims.dice.between(20, 900)] }),
    "bus loses": () => this.#bus("the bus loses", { drop: this.#victims.dice.between(0.1, 0.9), repeat: 0.1 }),
    "bus slow": () => this.#bus("the bus is slow", { delayMs: [1, this.#victims.dice.between(50, 2000)] }),
    "bus down": () => this.#bus("the bus is down", { down: true }),
    clock: ({ host }) => this.#clock(host),
  };

  constructor(victims: Victims, kinds: readonly FaultKind[], longestStop: number) {
    this.#victims = victims;
    this.#kinds = kinds;
    this.#longestStop = longestStop;
  }

  /** One fault, of any kind that is on. */
  strike(): void {
    if (this.#over || this.#kinds.length === 0) return;
    this.#effects[this.#victims.dice.pick(this.#kinds)](this.#victims.dice.pick(this.#victims.nodes));
  }

  /** Everything is well from now on. */
  end(): void {
    this.#over = true;
    const { nodes, replica, lines, bus } = this.#victims;
    for (const node of nodes) {
      node.host.skew = 0;
      if (node.host.isStopped) this.#continue(node.host);
      replica.rejoin(node.host);
    }
    const commit: Partial<ReplicaWeather> = { stalledUntil: 0 };
    Object.assign(replica.weather, commit);
    lines.cut.clear();
    Object.assign(lines, { delayMs: [0.2, 3], lost: 0, unanswered: 0 } satisfies Partial<LineWeather>);
    Object.assign(bus.weather, { delayMs: [0.2, 3], drop: 0, repeat: 0, down: false } satisfies BusWeather);
    this.#victims.tell("all is well");
  }

  /** Where it hurts: while a write has no majority. */
  #failover(retries: number): void {
    const { dice, tell, replica, scheduler } = this.#victims;
    if (this.#over) return;
    if (!replica.isWriting && retries > 0) {
      scheduler.at(dice.between(1, 40), () => this.#failover(retries - 1));
      return;
    }
    const electionMs = dice.between(1, 600);
    const before = replica.rolledBack;
    replica.failover(electionMs);
    tell(`failover for ${electionMs.toFixed()} ms, ${replica.rolledBack - before} writes rolled back`);
  }

  #stall(): void {
    const { dice, tell, replica, scheduler } = this.#victims;
    const ms = dice.between(20, 2000);
    tell(`no majority for ${ms.toFixed()} ms`);
    replica.weather.stalledUntil = scheduler.now + ms;
  }

  /** A node whose driver still asks a primary that is none any more. */
  #oldPrimary(host: Host): void {
    const { dice, replica } = this.#victims;
    replica.isolate(host);
    this.#during(`${host.name} asks an old primary`, dice.between(50, 4000), () => replica.rejoin(host));
  }

  #cut(host: Host): void {
    const { dice, lines } = this.#victims;
    lines.cut.add(host);
    this.#during(`${host.name} cut from the store`, dice.between(50, 4000), () => lines.cut.delete(host));
  }

  #clock(host: Host): void {
    const { dice, tell } = this.#victims;
    host.skew = dice.chance(0.3) ? 0 : Math.floor(dice.between(-3_600_000, 3_600_000));
    tell(`the clock of ${host.name} is ${host.skew} ms off`);
  }

  #kill(node: SimNode): void {
    if (!node.core) return;
    const { tell, dice, scheduler } = this.#victims;
    tell(`${node.host.name} is killed`);
    node.kill();
    scheduler.at(dice.between(10, 3000), () => {
      tell(`${node.host.name} starts`);
      this.#victims.bus.suspect(node.host);
      void node.start();
    });
  }

  #stop(host: Host): void {
    if (host.isStopped) return;
    const { dice, tell, bus } = this.#victims;
    host.stop();
    const ms = dice.chance(0.5) ? dice.between(20, 1500) : dice.between(1500, this.#longestStop);
    tell(`${host.name} stands still for ${ms.toFixed()} ms`);
    bus.suspect(host);
    const { life } = host;
    this.#victims.scheduler.at(ms, () => {
      if (life === host.life && host.isStopped) this.#continue(host);
    });
  }

  #continue(host: Host): void {
    this.#victims.tell(`${host.name} goes on`);
    host.continue();
    this.#victims.bus.suspect(host);
  }

  #lines(what: string, change: Partial<LineWeather>): void {
    this.#change(what, this.#victims.lines, change);
  }

  #bus(what: string, change: Partial<BusWeather>): void {
    this.#change(what, this.#victims.bus.weather, change);
  }

  #change<T extends object>(what: string, weather: T, change: Partial<T>): void {
    const before = Object.fromEntries(Object.keys(change).map((key) => [key, weather[key as keyof T]]));
    Object.assign(weather, change);
    this.#during(what, this.#victims.dice.between(100, 4000), () => Object.assign(weather, before));
  }

  #during(what: string, ms: number, end: () => unknown): void {
    const { tell, scheduler } = this.#victims;
    tell(`${what} for ${ms.toFixed()} ms`);
    scheduler.at(ms, () => {
      if (this.#over) return;
      tell(`no longer: ${what}`);
      end();
    });
  }
}
