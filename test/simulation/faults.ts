import type { Dice } from "./dice.ts";
import type { Host } from "./host.ts";
import type { LineWeather } from "./network.ts";
import type { ReplicaSet, ReplicaWeather } from "./replica-set.ts";
import type { Scheduler } from "./scheduler.ts";
import type { BusWeather, SimBusNet } from "./sim-bus.ts";
import type { SimNode } from "./sim-node.ts";

/** What can go wrong. */
export const faultKinds = [
  "kill",
  "stop",
  "failover",
  "stall",
  "store cut",
  "store loses",
  "store slow",
  "bus loses",
  "bus slow",
  "bus down",
  "clock",
] as const;
/** One of them. */
export type FaultKind = (typeof faultKinds)[number];

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

  constructor(victims: Victims, kinds: readonly FaultKind[], longestStop: number) {
    this.#victims = victims;
    this.#kinds = kinds;
    this.#longestStop = longestStop;
  }

  /** One fault, of any kind that is on. */
  strike(wanted?: FaultKind, retries = 40): void {
    if (this.#over || this.#kinds.length === 0) return;
    const { dice, tell, nodes, replica, lines, bus } = this.#victims;
    const kind = wanted ?? dice.pick(this.#kinds);
    const node = dice.pick(nodes);
    const { host } = node;
    switch (kind) {
      case "kill":
        return this.#kill(node);
      case "stop":
        return this.#stop(host);
      case "failover": {
        // Where it hurts: while a write has no majority.
        if (!replica.isWriting && retries > 0) {
          this.#victims.scheduler.at(dice.between(1, 40), () => this.strike(kind, retries - 1));
          return;
        }
        const electionMs = dice.between(1, 600);
        const before = replica.rolledBack;
        replica.failover(electionMs);
        tell(`failover for ${electionMs.toFixed()} ms, ${replica.rolledBack - before} writes rolled back`);
        return;
      }
      case "stall": {
        const ms = dice.between(20, 2000);
        tell(`no majority for ${ms.toFixed()} ms`);
        replica.weather.stalledUntil = this.#victims.scheduler.now + ms;
        return;
      }
      case "store cut":
        lines.cut.add(host);
        return this.#during(`${host.name} cut from the store`, dice.between(50, 4000), () => lines.cut.delete(host));
      case "store loses":
        return this.#change<LineWeather>("the store's lines lose", lines, { lost: 0.1, unanswered: 0.2 });
      case "store slow":
        return this.#change<LineWeather>("the store is slow", lines, { delayMs: [5, dice.between(20, 900)] });
      case "bus loses":
        return this.#change<BusWeather>("the bus loses", bus.weather, { drop: dice.between(0.1, 0.9), repeat: 0.1 });
      case "bus slow":
        return this.#change<BusWeather>("the bus is slow", bus.weather, { delayMs: [1, dice.between(50, 2000)] });
      case "bus down":
        return this.#change<BusWeather>("the bus is down", bus.weather, { down: true });
      case "clock":
        host.skew = dice.chance(0.3) ? 0 : Math.floor(dice.between(-3_600_000, 3_600_000));
        tell(`the clock of ${host.name} is ${host.skew} ms off`);
    }
  }

  /** Everything is well from now on. */
  end(): void {
    this.#over = true;
    const { nodes, replica, lines, bus } = this.#victims;
    for (const node of nodes) {
      node.host.skew = 0;
      if (node.host.isStopped) this.#continue(node.host);
    }
    const commit: Partial<ReplicaWeather> = { stalledUntil: 0 };
    Object.assign(replica.weather, commit);
    lines.cut.clear();
    Object.assign(lines, { delayMs: [0.2, 3], lost: 0, unanswered: 0 } satisfies Partial<LineWeather>);
    Object.assign(bus.weather, { delayMs: [0.2, 3], drop: 0, repeat: 0, down: false } satisfies BusWeather);
    this.#victims.tell("all is well");
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
