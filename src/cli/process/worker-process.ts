import type { Address } from "../../http/listener.ts";

/** One of several processes that share a port. */
export interface WorkerProcess {
  /** The id of the process; undefined when it could not be started. */
  readonly pid: number | undefined;
  /** Resolves when it accepts connections; stays pending when it ends before that. */
  readonly ready: Promise<Address>;
  /** Resolves when it has ended, with its exit code; undefined when a signal ended it. */
  readonly exited: Promise<number | undefined>;
  /** Asks it to drain and end. */
  drain(): void;
  /** Asks it to read its secrets and certificates again. */
  reload(): void;
  /** Ends it at once. */
  kill(): void;
}
