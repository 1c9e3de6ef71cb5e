/** The two forms of the suite, and the limits that each one checks. */
import { defaultThreads } from "../../src/cli/process/share-port.ts";

/** The run is whole: `TIDINGS_TEST_ATTACK=whole npm run test:attack`, about half an hour. CI runs the short form. */
export const isWhole = process.env.TIDINGS_TEST_ATTACK === "whole";

/** Chooses a parameter by the form of the run. */
export function size<T>(short: T, whole: T): T {
  return isWhole ? whole : short;
}

/** What an attack may do to others. */
export interface Limits {
  /** The most by which a percentile of the healthy client's times may grow, as a factor. */
  readonly ratio: number;
  /**
   * Times in ms that are always allowed. A median of 1 ms triples because of one garbage collection, which says nothing
   * about an attack.
   */
  readonly floor: { readonly p50: number; readonly p99: number; readonly list: number };
  /** The most by which the server's resident memory may grow during the attack and after it, in MB. */
  readonly growthMb: number;
}

/** Of one event loop. Each further one has a heap of its own, in which V8 lets 64 MB of buffers pile up before it collects. */
const growthMb = 150 + 64 * (defaultThreads() - 1);

/**
 * The short form runs on two cores that it shares with the attacker and with whatever else the machine does, and has some
 * 50 samples of each phase. It finds the attack that stalls a node for half a second or fills its memory; the whole form
 * finds the one that makes a node four times as slow.
 */
export const limits: Limits = isWhole
  ? { ratio: 3, floor: { p50: 10, p99: 50, list: 25 }, growthMb }
  : { ratio: 10, floor: { p50: 100, p99: 500, list: 250 }, growthMb };

/** The phases of an attack, in ms. An attack that takes longer than `during` is waited for. */
export const phases = isWhole
  ? { before: 5_000, during: 15_000, after: 60_000 }
  : { before: 500, during: 1_500, after: 300 };
