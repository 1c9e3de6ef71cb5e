/**
 * Port Meter: what a node tells its operators in figures. Two ways: what happens seldom is counted as it happens; what is
 * there, or happens per delivery, is read from the parts that know it when somebody asks (`read`), so that it costs
 * nothing while nobody does.
 *
 * The law: every label names all its values when the instrument is made, so that no caller can make a series. What is not
 * among them is counted as `other`.
 */

/** The labels of an instrument: by name, all values that there can ever be. */
export type Labels = Readonly<Record<string, readonly string[]>>;

/** One value for each label. */
export type Values<L extends Labels> = { readonly [Name in keyof L]: L[Name][number] };

/** Grows. */
export interface Counter<L extends Labels> {
  /** `by` is not negative. */
  add(values: Values<L>, by?: number): void;
}

/** Sorts what it is given into buckets. */
export interface Histogram<L extends Labels> {
  record(values: Values<L>, value: number): void;
}

/** A figure and the labels that it is for. */
export type Reading<L extends Labels> = readonly [values: Values<L>, value: number];

/** What there is to read at this moment; it must not throw. */
export type Readings<L extends Labels> = () => readonly Reading<L>[] | Promise<readonly Reading<L>[]>;

/** Name (as Prometheus writes it, with its unit) and meaning of an instrument. */
export interface Naming<L extends Labels> {
  readonly name: string;
  readonly help: string;
  readonly labels: L;
}

/** The port. Names are unique within one meter. */
export interface Metrics {
  counter<L extends Labels>(naming: Naming<L>): Counter<L>;
  /** Bounds of the buckets, ascending; one without a bound follows by itself. */
  histogram<L extends Labels>(naming: Naming<L>, bounds: readonly number[]): Histogram<L>;
  /** Asks `readings` whenever somebody looks. `kind`: a counter never falls while the process lives. */
  read<L extends Labels>(naming: Naming<L>, kind: "gauge" | "counter", readings: Readings<L>): void;
}

/** Labels of an instrument that has none. */
export const unlabelled = {} as const;

/** Counts nothing, for who does not look. */
export const noMetrics: Metrics = {
  counter: () => ({ add() {} }),
  histogram: () => ({ record() {} }),
  read() {},
};
