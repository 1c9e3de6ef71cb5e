/** What a command is and what it works with, so that tests can run one inside their own process. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "pino";
import type { TidingsOptions } from "../../options.ts";
import type { Tidings } from "../../server.ts";
import type { CommandName, Values } from "../config/settings.ts";
import type { Printer } from "../output/printer.ts";
import type { Io } from "../process/io.ts";
import type { WorkerProcess } from "../process/worker-process.ts";

/** The parts of the product that commands start. */
export interface Dependencies {
  /** The package's own version. */
  readonly version: string;
  /** Opens a server. */
  createTidings(options: TidingsOptions): Promise<Pick<Tidings, "listen" | "close">>;
  /** Logs on stderr, from this level on; each line passes `conceal`. */
  createLogger(level: string, conceal?: (line: string) => string): Promise<Logger>;
  /** Starts this command line once more, in a process of its own that shares the port. */
  startWorker(place: number): WorkerProcess;
  /** The demo page; its handler answers false when a request is not for it. */
  demoPage(secret: string): Promise<(request: IncomingMessage, response: ServerResponse) => boolean>;
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Calls after so many ms, unless the returned function is called before. */
  after(milliseconds: number, call: () => void): () => void;
}

/** What a command is given. */
export interface Context {
  readonly values: Values;
  readonly io: Io;
  readonly deps: Dependencies;
  readonly print: Printer;
}

/** One command. */
export interface Command {
  readonly name: CommandName;
  /** One sentence. */
  readonly summary: string;
  /** What else there is to know. */
  readonly details?: string;
  /** Command lines, without `tidings`. */
  readonly examples: readonly string[];
  /** Answers the exit code; what it throws is printed, and is 2 for a UsageError and 1 for everything else. */
  run(context: Context): Promise<number>;
}
