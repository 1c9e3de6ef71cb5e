/** The sizes and durations of a run. */
export interface Plan {
  readonly name: "quick" | "default" | "full";
  /**
   * Measures only the rows, and the stores of nodes, whose names contain one of these texts. Undefined for all.
   */
  readonly rows?: readonly string[];
  /** Rounds of each figure. */
  readonly rounds: number;
  /** Rounds of the fan-out table, whose rows are compared most closely. */
  readonly fanOutRounds: number;
  /** The minimum duration of one measurement, in ms. */
  readonly measurementMs: number;
  /** Publishes to each server before the first measurement, enough to compile its code. */
  readonly warmUpPublishes: number;
  /** Subscribers of one server, in the tables that do not vary them. */
  readonly subscribers: number;
  /** Numbers of subscribers in the scale table, ascending. */
  readonly scale: readonly number[];
  /** Numbers of feeds in the scale table, ascending. */
  readonly feeds: readonly number[];
  /** Numbers of connections in the publish table, ascending. */
  readonly concurrency: readonly number[];
  /** Numbers of event loops of `tidings serve`, ascending. */
  readonly workers: readonly number[];
  /** Numbers of unread messages in the inbox table, ascending. */
  readonly unread: readonly number[];
  /** Messages that each subscriber of the resume table has missed. */
  readonly missed: number;
  /** Idle connections of each kind. */
  readonly idle: number;
  /** Streams of each kind in the memory table. */
  readonly held: number;
  /** Duration of one run of the latency table, in ms. */
  readonly latencyMs: number;
  /** Duration of one run of the nodes table, in ms. */
  readonly nodesMs: number;
  /** Duration of one run of the slow-reader table, in ms. */
  readonly slowReaderMs: number;
  /** Bytes that are sent to the slow reader in one run. */
  readonly slowReaderBytes: number;
  /** Rounds of the slow-reader table. */
  readonly slowReaderRounds: number;
  /** Pages that join one room. */
  readonly joins: number;
  /** Users of the tenant that gets a broadcast. */
  readonly knownUsers: number;
}

const standard: Plan = {
  name: "default",
  rounds: 3,
  fanOutRounds: 3,
  measurementMs: 500,
  warmUpPublishes: 2000,
  subscribers: 1000,
  scale: [100, 1000, 10_000],
  feeds: [1, 100, 10_000, 100_000],
  concurrency: [1, 10, 50, 200],
  workers: [1, 2, 4],
  unread: [0, 1000, 10_000, 100_000],
  missed: 1000,
  idle: 5000,
  held: 400,
  latencyMs: 3000,
  nodesMs: 500,
  slowReaderMs: 5000,
  slowReaderBytes: 20e6,
  slowReaderRounds: 2,
  joins: 1000,
  knownUsers: 100_000,
};

/** A run of seconds that shows whether everything works. Its figures mean nothing. */
const quick: Plan = {
  ...standard,
  name: "quick",
  rounds: 1,
  fanOutRounds: 1,
  measurementMs: 50,
  warmUpPublishes: 20,
  subscribers: 100,
  scale: [10, 100, 300],
  feeds: [1, 300, 1000],
  concurrency: [1, 50],
  workers: [1, 2],
  unread: [0, 100],
  missed: 50,
  idle: 100,
  held: 50,
  latencyMs: 500,
  nodesMs: 200,
  slowReaderMs: 600,
  slowReaderBytes: 12e6,
  slowReaderRounds: 1,
  joins: 50,
  knownUsers: 1000,
};

/** More and longer rounds, and a slow reader for as long as its target says. */
const full: Plan = {
  ...standard,
  name: "full",
  rounds: 7,
  fanOutRounds: 7,
  measurementMs: 1500,
  idle: 8000,
  held: 2000,
  latencyMs: 15_000,
  nodesMs: 10_000,
  slowReaderMs: 300_000,
  slowReaderBytes: 100e6,
  slowReaderRounds: 1,
};

/** Whether the plan includes the row with this name. */
export function includesRow({ rows }: Plan, name: string): boolean {
  return rows === undefined || rows.some((part) => name.includes(part));
}

/** All plans by name. */
export const plans: Readonly<Record<Plan["name"], Plan>> = { quick, default: standard, full };
