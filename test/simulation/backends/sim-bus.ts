import type { Bus, BusEvent, LostNotice, Notice } from "../../../src/ports/bus.ts";
import type { FeedKey } from "../../../src/ports/store.ts";
import type { Host } from "../runtime/host.ts";
import type { Scheduler } from "../runtime/scheduler.ts";
import type { SeededRandom } from "../runtime/seeded-random.ts";
import type { Variant } from "../variant.ts";
import { feedId } from "./documents.ts";

/** A loss is reported within this time, in ms. */
const reportMs = 3_000;
/** While a node is silent, all nodes are notified again after this time, in ms. */
const heartbeatMs = 1_500;
/** Everything is reported as possibly lost after this time, in ms: a shorter form of the minute of a real bus. */
const sweepMs = 20_000;

/** The conditions of the bus. */
export interface BusConditions {
  delayMs: readonly [low: number, high: number];
  /** Probability that a notice does not reach one of the other nodes. */
  drop: number;
  /** Probability that it arrives twice. */
  repeat: number;
  /** No notice reaches another node. */
  down: boolean;
}

interface Member {
  readonly host: Host;
  readonly incarnation: number;
  readonly listeners: Set<(event: BusEvent) => void>;
  /** When the last notice from each other member arrives: notices of one member keep their order. */
  readonly arrivals: Map<Member, number>;
}

/** The bus between simulated nodes. It loses, repeats and delays notices, but keeps the order from one node to another. */
export class SimBus {
  readonly conditions: BusConditions = { delayMs: [0.2, 3], drop: 0, repeat: 0, down: false };
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #variant: Variant;
  readonly #hosts: readonly Host[];
  #members: Member[] = [];
  /** The number of notices that did not arrive. */
  dropped = 0;

  constructor(scheduler: Scheduler, random: SeededRandom, variant: Variant, hosts: readonly Host[]) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#variant = variant;
    this.#hosts = hosts;
    this.#scheduler.at(heartbeatMs, () => this.#checkHeartbeats());
    this.#scheduler.at(sweepMs, () => this.#sweep());
  }

  /** The port of the current incarnation of a host. */
  join(host: Host): Bus {
    const member: Member = { host, incarnation: host.incarnation, listeners: new Set(), arrivals: new Map() };
    this.#members.push(member);
    // Earlier notices need no report: this incarnation has no streams yet that could miss one.
    return {
      publish: (notices) => this.#publish(member, notices),
      subscribe: (listener) => {
        const own = (event: BusEvent) => listener(event);
        member.listeners.add(own);
        return () => void member.listeners.delete(own);
      },
      close: async () => {
        this.#members = this.#members.filter((other) => other !== member);
      },
    };
  }

  /** A mistake on purpose: sends a notice that no node has published. */
  inject(notice: Notice): void {
    for (const member of this.#members) this.#send(member, undefined, notice);
  }

  /** Reports possible losses around a host that has died, was paused or is back: its unsent notices may be lost. */
  suspect(host: Host): void {
    for (const member of this.#members) {
      if (member.host !== host || !host.isPaused) this.#reportLoss(member, everything, false, reportMs);
    }
  }

  #publish(from: Member, notices: readonly Notice[]): void {
    if (from.incarnation !== from.host.incarnation) return;
    for (const notice of notices) {
      for (const listener of from.listeners) listener(notice);
      for (const member of this.#members) if (member !== from) this.#send(member, from, notice);
    }
  }

  #send(to: Member, from: Member | undefined, notice: Notice): void {
    if (this.conditions.down || (this.conditions.drop > 0 && this.#random.chance(this.conditions.drop))) {
      this.dropped++;
      const lost = feedId(feedOf(notice));
      this.#reportLoss(to, (feed) => feedId(feed) === lost, true, reportMs);
      return;
    }
    const [low, high] = this.conditions.delayMs;
    const previous = (from && to.arrivals.get(from)) ?? 0;
    const arrival = Math.max(previous, this.#scheduler.now + this.#random.between(low, high));
    if (from) to.arrivals.set(from, arrival);
    const times = this.conditions.repeat > 0 && this.#random.chance(this.conditions.repeat) ? 2 : 1;
    for (let time = 0; time < times; time++) {
      const extra = time * this.#random.between(0, high);
      this.#scheduler.when(arrival + extra, () => this.#deliver(to, notice));
    }
  }

  #reportLoss(to: Member, touches: LostNotice["touches"], certain: boolean, withinMs: number): void {
    if (this.#variant.missedNotices === "silent") return;
    const delay = this.#random.between(0, withinMs);
    this.#scheduler.at(delay, () => this.#deliver(to, { type: "lost", touches, certain }));
  }

  #deliver(to: Member, event: BusEvent): void {
    to.host.enter(to.incarnation, () => {
      for (const listener of to.listeners) listener(event);
    });
  }

  /** Reports possible losses while a host is silent or the bus is down. */
  #checkHeartbeats(): void {
    const isAlive = (host: Host) => !host.isPaused && this.#members.some((member) => isCurrent(member, host));
    this.#members = this.#members.filter(({ host, incarnation }) => host.incarnation === incarnation);
    if (this.conditions.down || !this.#hosts.every(isAlive)) {
      for (const member of this.#members) this.#reportLoss(member, everything, this.conditions.down, 500);
    }
    this.#scheduler.at(heartbeatMs, () => this.#checkHeartbeats());
  }

  #sweep(): void {
    for (const member of this.#members) this.#reportLoss(member, everything, false, reportMs);
    this.#scheduler.at(sweepMs, () => this.#sweep());
  }
}

function isCurrent(member: Member, host: Host): boolean {
  return member.host === host && member.incarnation === host.incarnation;
}

function everything(): boolean {
  return true;
}

/** The feed of a notice. A notice about a user counts as one about the user's own feed. */
function feedOf(notice: Notice): FeedKey {
  if ("feed" in notice) return notice.feed;
  return { tenant: notice.tenant, name: `user/${notice.user}` };
}
