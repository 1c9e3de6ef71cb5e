import type { Address } from "../../http/listener.ts";

/** One process of several. */
export interface WorkerProcess {
  /** The id of the process. */
  readonly pid: number | undefined;
  /** Resolves once it serves; stays open if it ends before. */
  readonly ready: Promise<Address>;
  /** Resolves when it has ended: its exit code, undefined if a signal ended it. */
  readonly exited: Promise<number | undefined>;
  /** Asks it to drain and end. */
  drain(): void;
  /** Ends it at once. */
  kill(): void;
}
