import type { Dice } from "./dice.ts";
import type { Host } from "./host.ts";
import type { Scheduler } from "./scheduler.ts";

/** How the lines between a node and a server fare. */
export interface LineWeather {
  /** One way, in ms. */
  delayMs: readonly [low: number, high: number];
  /** How likely a question never arrives. */
  lost: number;
  /** How likely its answer never does. */
  unanswered: number;
  /** Hosts that reach nothing. */
  readonly cut: Set<Host>;
}

/** Weather in which nothing goes wrong. */
export function fairWeather(delayMs: readonly [low: number, high: number]): LineWeather {
  return { delayMs, lost: 0, unanswered: 0, cut: new Set() };
}

/** What a call failed with that got no answer in time. */
export class NoAnswer extends Error {}

/** Lines from hosts to a server. */
export class Network {
  readonly weather: LineWeather;
  readonly #scheduler: Scheduler;
  readonly #dice: Dice;

  constructor(scheduler: Scheduler, dice: Dice, weather: LineWeather) {
    this.#scheduler = scheduler;
    this.#dice = dice;
    this.weather = weather;
  }

  /** Asks a server from within a host; rejects when it does, or after so many ms. */
  ask<T>(host: Host, server: () => T | Promise<T>, timeoutMs: number): Promise<T> {
    const { life, clock } = host;
    return new Promise<T>((resolve, reject) => {
      const timeout = clock.after(timeoutMs, () => reject(new NoAnswer("no answer in time")));
      const answer = (settle: () => void) => {
        if (this.#isLost(host, this.weather.unanswered)) return;
        this.#travel(() =>
          host.enter(life, () => {
            timeout.cancel();
            settle();
          }),
        );
      };
      if (this.#isLost(host, this.weather.lost)) return;
      this.#travel(() => {
        attempt(server).then(
          (value) => answer(() => resolve(value)),
          (error) => answer(() => reject(error)),
        );
      });
    });
  }

  #isLost(host: Host, probability: number): boolean {
    return this.weather.cut.has(host) || (probability > 0 && this.#dice.chance(probability));
  }

  #travel(arrive: () => void): void {
    const [low, high] = this.weather.delayMs;
    this.#scheduler.at(this.#dice.between(low, high), arrive);
  }
}

async function attempt<T>(call: () => T | Promise<T>): Promise<T> {
  return call();
}
