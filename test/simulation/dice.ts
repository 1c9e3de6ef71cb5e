import type { Random } from "../../src/ports/clock.ts";
import { seededRandom } from "../support/clock.ts";

/** All chance of a simulated world, from its seed. */
export class Dice {
  readonly random: Random;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    // Seeds that are neighbours begin alike.
    for (let index = 0; index < 4; index++) this.random.fraction();
  }

  /** Whether something happens that has this probability. */
  chance(probability: number): boolean {
    return this.random.fraction() < probability;
  }

  /** A number from `low` to below `high`. */
  between(low: number, high: number): number {
    return low + this.random.fraction() * (high - low);
  }

  /** An integer from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return Math.floor(this.between(low, high + 1));
  }

  /** One of some values. */
  pick<T>(values: readonly T[]): T {
    return values[this.integer(0, values.length - 1)] as T;
  }

  /** Other dice, from this one: what is drawn there changes nothing here. */
  fork(): Dice {
    return new Dice(this.integer(0, 0xffff_fffe));
  }
}
