/** How large runs are, and which randomness steers them. */
import type { Random } from "../../src/ports/clock.ts";
import { seededRandom } from "../support/clock.ts";

/** Whether runs have their full length: `npm run test:faults -- --long`. */
export const isLong = process.env.TIDINGS_FAULTS_LONG === "1";

/** Of the faults of a long run, such a part: `--part 0.1` tries it out. */
const part = Number(process.env.TIDINGS_FAULTS_PART ?? 1);

/** One of two sizes: that of CI, or the full one. */
export function size<T>(short: T, long: T): T {
  return isLong ? long : short;
}

/** One of two numbers of faults: that of CI, or the full one, or the part of it that was asked for. */
export function times(short: number, long: number): number {
  return isLong ? Math.ceil(long * part) : short;
}

/** Steers what is injected and when; another one each time, unless it is given: `npm run test:faults -- --seed 7`. */
export const seed = Number(process.env.TIDINGS_FAULTS_SEED ?? Math.floor(Math.random() * 1e9));

/** The randomness of one run. */
export class Dice {
  readonly #random: Random;

  /** Of runs that go on at once, each has a number of its own. */
  constructor(number = 0) {
    this.#random = seededRandom(seed + number);
  }

  /** A number in [0, 1). */
  fraction(): number {
    return this.#random.fraction();
  }

  /** A number in [from, to). */
  between(from: number, to: number): number {
    return from + this.fraction() * (to - from);
  }

  /** One of many. */
  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.fraction() * items.length)] as T;
  }
}
