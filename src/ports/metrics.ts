/**
 * Port Metrics: what a node counts for its operators. Events that happen once per call are counted as they happen; values
 * that a part of the node has anyway, and events that happen per delivery, are read from it on request (`read`), so that
 * they cost nothing while nobody asks.
 *
 * The law: an instrument names every value of its labels when it is made, so that no caller of the server can create a
 * series. A value that is not among them is recorded as `other`. No method throws, blocks or waits.
 */

/** The labels of an instrument: by name, every value that they can have. */
export type Labels = Readonly<Record<string, readonly string[]>>;

/** One value for each label. */
export type Values<L extends Labels> = { readonly [Name in keyof L]: L[Name][number] };

/** A value that only grows, from 0. */
export interface Counter<L extends Labels> {
  /** Adds `by`, which is 1 by default and not negative. Adding 0 creates the series. */
  add(values: Values<L>, by?: number): void;
}

/** A distribution, by buckets. */
export interface Histogram<L extends Labels> {
  /** Records one value, in the unit that the name says. */
  record(values: Values<L>, value: number): void;
}

/** A value and the labels that it is for. */
export type Reading<L extends Labels> = readonly [values: Values<L>, value: number];

/** Returns the values of this moment, one for each combination of labels; it must not throw. */
export type Readings<L extends Labels> = () => readonly Reading<L>[] | Promise<readonly Reading<L>[]>;

/** What identifies an instrument. */
export interface Naming<L extends Labels> {
  /** The name as Prometheus writes it, with its unit, such as `tidings_store_commit_duration_seconds`. */
  readonly name: string;
  /** What it means, in one sentence. */
  readonly help: string;
  readonly labels: L;
}

/** The port. A name is used once within one `Metrics`. */
export interface Metrics {
  /** Makes a counter. */
  counter<L extends Labels>(naming: Naming<L>): Counter<L>;
  /** Makes a histogram. `bounds` are the upper bounds of its buckets, ascending; a last bucket has none. */
  histogram<L extends Labels>(naming: Naming<L>, bounds: readonly number[]): Histogram<L>;
  /**
   * Calls `readings` whenever the values are asked for; a series that it does not return is absent then. A value of the
   * kind `counter` never falls while the process lives.
   */
  read<L extends Labels>(naming: Naming<L>, kind: "gauge" | "counter", readings: Readings<L>): void;
}

/** The labels of an instrument without any. */
export const unlabelled = {} as const;

/** Metrics that count nothing, for a node that nobody observes. */
export const noMetrics: Metrics = {
  counter: () => ({ add() {} }),
  histogram: () => ({ record() {} }),
  read() {},
};
