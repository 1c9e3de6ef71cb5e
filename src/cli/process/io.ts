/** The process around a command, as tests can stand in for it. */
import type { Address } from "../../http/listener.ts";

/** Where a command writes. */
export interface Output {
  write(text: string): unknown;
  /** A person reads it. */
  readonly isTTY?: boolean;
}

/** The process around a command. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Calls on each SIGINT and SIGTERM until the returned function is called; without it they end the process. */
  onSignal(call: () => void): () => void;
  /** Set in a process that another one started by startWorker: tells it that this one serves. */
  readonly tellParent?: (address: Address) => void;
  /** Which of several processes on one port this is, from 0 on; one that replaces another has its place. */
  readonly place?: number;
}
