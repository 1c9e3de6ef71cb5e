/** The process around a command, which tests replace. */
import type { Address } from "../../http/listener.ts";

/** A stream that a command writes to. */
export interface Output {
  write(text: string): unknown;
  /** The stream is a terminal, so a person reads it. */
  readonly isTTY?: boolean;
}

/** The process around a command. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Opens the standard input. */
  input(): AsyncIterable<Uint8Array>;
  /** Calls on each SIGINT and SIGTERM until the returned function is called. Without a listener these end the process. */
  onSignal(call: () => void): () => void;
  /** Calls on each SIGHUP, which asks a server to read its files again, until the returned function is called. */
  onReload(call: () => void): () => void;
  /** Returns the descriptor of the socket that systemd has opened for this process, if any. Throws when there are several. */
  openSocket(): number | undefined;
  /** Set in a worker: tells the process that started it the address at which it accepts connections. */
  readonly reportReady?: (address: Address) => void;
  /** Set in a worker: its index among the processes on one port, from 0. A replacement has the index of the dead worker. */
  readonly workerIndex?: number;
}
