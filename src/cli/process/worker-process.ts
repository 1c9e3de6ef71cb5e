import type { Address } from "../../http/listener.ts";

/** One of several processes that share a port, or of several threads. */
export interface WorkerProcess {
  /** The id of the process, or of the thread within its process; undefined when it could not be started. */
  readonly pid: number | undefined;
  /** Resolves when it accepts connections; stays pending when it ends before that. */
  readonly ready: Promise<Address>;
  /** Resolves when it has ended, with its exit code; undefined when a signal ended it. */
  readonly exited: Promise<number | undefined>;
  /** The error that ended a thread. A process writes it to stderr itself. */
  readonly error?: Error | undefined;
  /** Asks it to drain and end. */
  drain(): void;
  /** Asks a process to read its secrets and certificates again. A thread gets them from its group. */
  reload?(): void;
  /** Ends it at once. */
  kill(): void;
}

/** All workers of one command line, and the parts that they share. */
export interface WorkerGroup {
  /** The number of workers. */
  readonly count: number;
  /** What the workers are: processes of their own, or threads of this one. */
  readonly kind: "process" | "thread";
  /** Opens the shared parts. Called before the first worker is started. */
  open?(): Promise<void>;
  /** Starts a worker with this index, from 0. */
  start(index: number): WorkerProcess;
  /** Reads secrets and certificates again, and gives them to all threads. Processes read them themselves. */
  reload?(): void;
  /** Resolves to the reason once the shared parts have failed for good; the workers are drained then. */
  readonly failed?: Promise<Error>;
  /** Closes the shared parts. Called after the last worker has ended. */
  close?(): Promise<void>;
}

/** Threads of this process, whose metrics are served as one page. */
export interface ThreadGroup extends WorkerGroup {
  /** The URL of the metrics of all threads, once they are served. */
  readonly metricsUrl: string | undefined;
}
