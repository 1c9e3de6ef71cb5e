import type { Host } from "./host.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** The conditions on the links between hosts and a server. */
export interface LinkConditions {
  /** Delay of one way, in ms. */
  delayMs: readonly [low: number, high: number];
  /** Probability that a request is lost. */
  requestLoss: number;
  /** Probability that a response is lost. */
  responseLoss: number;
  /** Hosts that are partitioned from the server. */
  readonly partitioned: Set<Host>;
}

/** Conditions without faults. */
export function noFaults(delayMs: readonly [low: number, high: number]): LinkConditions {
  return { delayMs, requestLoss: 0, responseLoss: 0, partitioned: new Set() };
}

/** A call had no response in time. */
export class TimeoutError extends Error {}

/** Links from hosts to a server. */
export class Network {
  readonly conditions: LinkConditions;
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;

  constructor(scheduler: Scheduler, random: SeededRandom, conditions: LinkConditions) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.conditions = conditions;
  }

  /** Calls a server from a host. Rejects with the server's error, or with a TimeoutError after `timeoutMs`. */
  call<T>(host: Host, server: () => T | Promise<T>, timeoutMs: number): Promise<T> {
    const { incarnation, clock } = host;
    return new Promise<T>((resolve, reject) => {
      const timeout = clock.after(timeoutMs, () => reject(new TimeoutError("no response in time")));
      const respond = (settle: () => void) => {
        if (this.#isLost(host, this.conditions.responseLoss)) return;
        this.#travel(() =>
          host.enter(incarnation, () => {
            timeout.cancel();
            settle();
          }),
        );
      };
      if (this.#isLost(host, this.conditions.requestLoss)) return;
      this.#travel(() => {
        attempt(server).then(
          (value) => respond(() => resolve(value)),
          (error) => respond(() => reject(error)),
        );
      });
    });
  }

  #isLost(host: Host, probability: number): boolean {
    return this.conditions.partitioned.has(host) || (probability > 0 && this.#random.chance(probability));
  }

  #travel(arrive: () => void): void {
    const [low, high] = this.conditions.delayMs;
    this.#scheduler.at(this.#random.between(low, high), arrive);
  }
}

async function attempt<T>(call: () => T | Promise<T>): Promise<T> {
  return call();
}
