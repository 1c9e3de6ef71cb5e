import type { Random } from "../../src/ports/clock.ts";
import { seededRandom } from "../support/clock.ts";

/** The seed of all choices of a run: `npm run test:faults -- --seed 7`. Random unless it is given. */
export const seed = Number(process.env.TIDINGS_FAULTS_SEED ?? Math.floor(Math.random() * 1e9));

/** The choices of one run: what is injected, and when. */
export class SeededRandom {
  readonly #random: Random;

  /** `stream`: makes the choices of runs that go on in parallel differ. */
  constructor(stream = 0) {
    this.#random = seededRandom(seed + stream);
  }

  /** A number in [0, 1). */
  fraction(): number {
    return this.#random.fraction();
  }

  /** A number in [low, high). */
  between(low: number, high: number): number {
    return low + this.fraction() * (high - low);
  }

  /** One of these items. */
  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.fraction() * items.length)] as T;
  }
}
