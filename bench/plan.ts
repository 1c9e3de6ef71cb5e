/** How much is measured. */
export interface Plan {
  readonly name: "quick" | "default" | "full";
  /** Only the rows of the fan-out and idle tables, and the stores of the nodes' one, that contain one of these; all without. */
  readonly rows?: readonly string[];
  /** Interleaved rounds of each figure. */
  readonly rounds: number;
  /** The same of the fan-out table, whose rows are compared with each other most closely. */
  readonly fanOutRounds: number;
  /** One measurement lasts at least so long. */
  readonly sliceMs: number;
  /** Publishes of each server before the first measurement: as many as make its code fast. */
  readonly warmUps: number;
  readonly subscribers: number;
  /** Subscribers of the scale table, rising. */
  readonly scale: readonly number[];
  /** Feeds of the scale table, rising. */
  readonly feeds: readonly number[];
  /** Connections of the publish table, rising. */
  readonly concurrency: readonly number[];
  /** Messages that each subscriber of the resume table missed. */
  readonly missed: number;
  /** Idle connections of each kind. */
  readonly idle: number;
  /** One run of the latency table. */
  readonly latencyMs: number;
  /** One run of the nodes' table. */
  readonly nodesMs: number;
  /** One run of the slow reader's table. */
  readonly slowMs: number;
  /** Flows past the slow reader in that time. */
  readonly slowBytes: number;
  readonly slowRounds: number;
  /** Pages that join one room, and users whom a tenant knows. */
  readonly joins: number;
  readonly known: number;
}

const usual: Plan = {
  name: "default",
  rounds: 3,
  fanOutRounds: 4,
  sliceMs: 500,
  warmUps: 2000,
  subscribers: 1000,
  scale: [100, 1000, 10_000],
  feeds: [1, 100, 10_000, 100_000],
  concurrency: [1, 10, 50, 200],
  missed: 1000,
  idle: 4000,
  latencyMs: 3000,
  nodesMs: 500,
  slowMs: 5000,
  slowBytes: 20e6,
  slowRounds: 2,
  joins: 1000,
  known: 100_000,
};

/** In seconds, to see that everything works; its figures say nothing. */
const quick: Plan = {
  ...usual,
  name: "quick",
  rounds: 1,
  fanOutRounds: 1,
  sliceMs: 50,
  warmUps: 20,
  subscribers: 100,
  scale: [10, 100, 300],
  feeds: [1, 300, 1000],
  concurrency: [1, 50],
  missed: 50,
  idle: 100,
  latencyMs: 500,
  nodesMs: 200,
  slowMs: 600,
  slowBytes: 12e6,
  slowRounds: 1,
  joins: 50,
  known: 1000,
};

/** Five times as long, and the slow reader as its target says. */
const full: Plan = {
  ...usual,
  name: "full",
  rounds: 7,
  fanOutRounds: 7,
  sliceMs: 1500,
  idle: 8000,
  latencyMs: 15_000,
  nodesMs: 10_000,
  slowMs: 300_000,
  slowBytes: 100e6,
  slowRounds: 1,
};

/** Whether the row with this name is to be measured. */
export function isChosen({ rows }: Plan, name: string): boolean {
  return rows === undefined || rows.some((part) => name.includes(part));
}

export const plans: Readonly<Record<Plan["name"], Plan>> = { quick, default: usual, full };
