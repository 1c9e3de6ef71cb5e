import type { Bus, BusEvent, LostNotice, Notice } from "../../src/ports/bus.ts";
import type { FeedKey } from "../../src/ports/store.ts";
import type { Dice } from "./dice.ts";
import { feedId } from "./documents.ts";
import type { Host } from "./host.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Wiring } from "./wiring.ts";

/** A loss is said after so many ms at most. */
const lostMs = 3_000;
/** While somebody is silent, it is said again every so many ms. */
const silentMs = 1_500;
/** What nobody noticed is said after so many ms; a minute, where time costs nothing. */
const sweepMs = 20_000;

/** How the bus fares. */
export interface BusWeather {
  delayMs: readonly [low: number, high: number];
  /** How likely a notice does not reach one of the other nodes. */
  drop: number;
  /** How likely it comes twice. */
  repeat: number;
  /** No node hears another. */
  down: boolean;
}

interface Member {
  readonly host: Host;
  readonly life: number;
  readonly listeners: Set<(heard: BusEvent) => void>;
  /** When the last notice from each other node arrives: lines keep their order, however slow they are. */
  readonly lines: Map<Member, number>;
}

/** The bus between simulated nodes: it loses, repeats and delays, and keeps the order of one node's notices to another. */
export class SimBusNet {
  readonly weather: BusWeather = { delayMs: [0.2, 3], drop: 0, repeat: 0, down: false };
  readonly #scheduler: Scheduler;
  readonly #dice: Dice;
  readonly #wiring: Wiring;
  readonly #hosts: readonly Host[];
  #members: Member[] = [];
  /** Notices that did not arrive. */
  dropped = 0;

  constructor(scheduler: Scheduler, dice: Dice, wiring: Wiring, hosts: readonly Host[]) {
    this.#scheduler = scheduler;
    this.#dice = dice;
    this.#wiring = wiring;
    this.#hosts = hosts;
    this.#scheduler.at(silentMs, () => this.#tick());
    this.#scheduler.at(sweepMs, () => this.#sweep());
  }

  /** The port of the present life of a host. */
  join(host: Host): Bus {
    const member: Member = { host, life: host.life, listeners: new Set(), lines: new Map() };
    this.#members.push(member);
    // What was published while nobody heard it here: there are no streams yet that could miss it.
    return {
      publish: (notices) => this.#publish(member, notices),
      subscribe: (listener) => {
        const own = (heard: BusEvent) => listener(heard);
        member.listeners.add(own);
        return () => void member.listeners.delete(own);
      },
      close: async () => {
        this.#members = this.#members.filter((other) => other !== member);
      },
    };
  }

  /** Known wrong: notices that no node's publisher made. */
  inject(notice: Notice): void {
    for (const member of this.#members) this.#send(member, undefined, notice);
  }

  /** A host has died, stood still, or is back: what it wanted to say may be lost. */
  suspect(host: Host): void {
    for (const member of this.#members) {
      if (member.host !== host || !host.isStopped) this.#later(member, everything, false, lostMs);
    }
  }

  #publish(from: Member, notices: readonly Notice[]): void {
    if (from.life !== from.host.life) return;
    for (const notice of notices) {
      for (const listener of from.listeners) listener(notice);
      for (const member of this.#members) if (member !== from) this.#send(member, from, notice);
    }
  }

  #send(to: Member, from: Member | undefined, notice: Notice): void {
    if (this.weather.down || (this.weather.drop > 0 && this.#dice.chance(this.weather.drop))) {
      this.dropped++;
      const feed = feedId(feedOf(notice));
      this.#later(to, (asked) => feedId(asked) === feed, true, lostMs);
      return;
    }
    const [low, high] = this.weather.delayMs;
    const line = (from && to.lines.get(from)) ?? 0;
    const arrival = Math.max(line, this.#scheduler.now + this.#dice.between(low, high));
    if (from) to.lines.set(from, arrival);
    const times = this.weather.repeat > 0 && this.#dice.chance(this.weather.repeat) ? 2 : 1;
    for (let time = 0; time < times; time++) {
      const late = time * this.#dice.between(0, high);
      this.#scheduler.when(arrival + late, () => this.#tell(to, notice));
    }
  }

  #later(to: Member, touches: LostNotice["touches"], certain: boolean, withinMs: number): void {
    if (this.#wiring.lost === "silent") return;
    const delay = this.#dice.between(0, withinMs);
    this.#scheduler.at(delay, () => this.#tell(to, { type: "lost", touches, certain }));
  }

  #tell(to: Member, heard: BusEvent): void {
    to.host.enter(to.life, () => {
      for (const listener of to.listeners) listener(heard);
    });
  }

  /** Who is silent is known by its heartbeats. */
  #tick(): void {
    const heard = (host: Host) => !host.isStopped && this.#members.some((member) => isAlive(member, host));
    this.#members = this.#members.filter(({ host, life }) => host.life === life);
    if (this.weather.down || !this.#hosts.every(heard)) {
      for (const member of this.#members) this.#later(member, everything, this.weather.down, 500);
    }
    this.#scheduler.at(silentMs, () => this.#tick());
  }

  #sweep(): void {
    for (const member of this.#members) this.#later(member, everything, false, lostMs);
    this.#scheduler.at(sweepMs, () => this.#sweep());
  }
}

function isAlive(member: Member, host: Host): boolean {
  return member.host === host && member.life === host.life;
}

function everything(): boolean {
  return true;
}

/** What is about a user counts as about the user's own feed. */
function feedOf(notice: Notice): FeedKey {
  if ("feed" in notice) return notice.feed;
  return { tenant: notice.tenant, name: `user/${notice.user}` };
}
