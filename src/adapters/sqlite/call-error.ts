import type { Failure } from "./protocol.ts";

/** The error of a call that failed on the store's thread. */
export class CallError extends Error {
  /** The primary result code of SQLite; 0 for other errors. */
  readonly code: number;

  constructor({ message, code }: Failure) {
    super(message);
    this.code = code;
  }
}
