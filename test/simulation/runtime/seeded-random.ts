import type { Random } from "../../../src/ports/clock.ts";
import { seededRandom } from "../../support/clock.ts";

/** A pseudo-random number generator: all chance of a simulation follows from its seed. */
export class SeededRandom {
  /** The same numbers as the port that the core takes. */
  readonly port: Random;

  constructor(seed: number) {
    this.port = seededRandom(seed);
    // The first numbers of neighbouring seeds are similar.
    for (let index = 0; index < 4; index++) this.port.fraction();
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.port.fraction() < probability;
  }

  /** A number in [low, high). */
  between(low: number, high: number): number {
    return low + this.port.fraction() * (high - low);
  }

  /** An integer from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return Math.floor(this.between(low, high + 1));
  }

  /** One of these values. */
  pick<T>(values: readonly T[]): T {
    return values[this.integer(0, values.length - 1)] as T;
  }

  /** Another generator, seeded from this one. Numbers drawn from it do not affect this one. */
  fork(): SeededRandom {
    return new SeededRandom(this.integer(0, 0xffff_fffe));
  }
}
