/** The messages between a store and its thread. */
import type { MessagePort } from "node:worker_threads";
import type { Commit, StoreInfo } from "../../ports/store.ts";
import type { TrimFigures } from "./count-trimmer.ts";
import type { DatabaseFiles, DatabaseOptions } from "./database.ts";

/** A call: a number that its answer repeats, the name of the method, and its arguments. */
export type Call = readonly [id: number, method: string, args: readonly unknown[]];
/** Gives the thread the port of a further client, which sends calls as the store does. */
export interface Connection {
  readonly connect: MessagePort;
}
/** A message to the thread. */
export type PortMessage = readonly Call[] | Connection;
/** An error as it passes between threads. */
export interface Failure {
  readonly message: string;
  /** The primary result code of SQLite; 0 for other errors. */
  readonly code: number;
}
/** The answer of a call: its value, or the reason why it failed. */
export type Answer = readonly [id: number, value: unknown, failure: Failure | undefined];
/** A message of the thread. */
export type ThreadMessage =
  /** The answers of one batch, and its commits. */
  | { readonly type: "answers"; readonly answers: readonly Answer[]; readonly commits: readonly Commit[] }
  /** Retention by count has deleted something, or has something new to delete. */
  | { readonly type: "trim"; readonly figures: TrimFigures }
  /** The files on the disk are no more those that are open, as a commit has found. */
  | { readonly type: "moved" }
  /** Progress of the check of the file. */
  | { readonly type: "progress"; readonly sentence: string }
  /** Work between calls failed. */
  | { readonly type: "failed"; readonly work: "trim" | "check"; readonly failure: Failure };
/** What `open` answers. */
export interface Opened {
  readonly info: StoreInfo;
  readonly files: DatabaseFiles | undefined;
}
/** The options of the thread. */
export interface WorkerData extends DatabaseOptions {
  /** The data folder, created if missing, or `:memory:` for a database that is gone when it closes. */
  readonly folder: string;
  /** The number of messages kept per feed. */
  readonly keep: number;
}

/** The calls that write, and so need space on the disk. */
export const writes: ReadonlySet<string> = new Set(["append", "saveReadState", "recall", "trim"]);

/** Returns whether a message to the thread brings a further client. */
export function isConnection(message: PortMessage): message is Connection {
  return "connect" in message;
}
