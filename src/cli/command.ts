/** The interface of a command, and everything it depends on, so that a test can run one in its own process. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "pino";
import type { TidingsOptions } from "../options.ts";
import type { Tidings } from "../server.ts";
import type { CommandName, Values } from "./config/settings.ts";
import type { Environment } from "./config/source.ts";
import type { Printer } from "./output/printer.ts";
import type { Io } from "./process/io.ts";
import type { ThreadGroup, WorkerProcess } from "./process/worker-process.ts";

/** The parts of the product and of the machine that commands use. */
export interface Dependencies {
  /** The version of the package. */
  readonly version: string;
  /** Creates a server. */
  createTidings(options: TidingsOptions): Promise<Pick<Tidings, "listen" | "close" | "failed" | "reload">>;
  /** Creates a logger that writes to stderr, from `level` on. Each line passes through `redact`. */
  createLogger(level: string, redact?: (line: string) => string): Promise<Logger>;
  /** Starts this command line once more, as the worker with this index; it shares the port. `semiSpace` is in MB. */
  startWorker(index: number, semiSpace: number): WorkerProcess;
  /** The default number of threads: as many as the machine has cores and the process has memory for. */
  threads(): number;
  /** Whether several threads can listen on one port of this machine. */
  canReusePort(): Promise<boolean>;
  /** Creates `count` threads that share a port and the embedded store. They are started by their supervisor. */
  createThreads(values: Values, count: number, logger: Logger): Promise<ThreadGroup>;
  /** Limits V8's semi-spaces to `megabytes`, and may replace this process by a new image of itself. 0 leaves Node's default. */
  limitSemiSpace(megabytes: number): void;
  /** Creates the handler of the demo page, which returns false for a request that is not its own. */
  demoPage(secret: string): Promise<(request: IncomingMessage, response: ServerResponse) => boolean>;
  /**
   * Runs a command in the shell, with the stdin of this process or with an empty one, and returns what it prints on stdout.
   * Rejects when it fails or takes longer than 30 s.
   */
  runShell(command: string, stdin: "inherit" | "ignore"): Promise<string>;
  /** The current time, in ms since the Unix epoch. */
  now(): number;
  /** Calls `call` after `milliseconds`, unless the returned function is called before. */
  after(milliseconds: number, call: () => void): () => void;
}

/** Loads commands, in the order in which the help lists them: at least the named one; all of them if there is no name. */
export type LoadCommands = (name: CommandName | undefined) => Promise<readonly Command[]>;

/** The input of a command. */
export interface Context {
  readonly values: Values;
  /** The words after the name of the command. */
  readonly operands: readonly string[];
  /** The words after `--`: for `test-client` the program and its arguments, for `completion words` the words to complete. */
  readonly program: readonly string[];
  readonly env: Environment;
  readonly io: Io;
  readonly deps: Dependencies;
  readonly print: Printer;
  readonly load: LoadCommands;
}

/** One command. */
export interface Command {
  readonly name: CommandName;
  /** One sentence for the list of commands. */
  readonly summary: string;
  /** A paragraph for the command's own help. */
  readonly details?: string;
  /** Complete command lines; the first one is shown in the general help. */
  readonly examples: readonly string[];
  /** Runs the command and returns its exit code. A UsageError that it throws becomes exit code 2, any other error 1. */
  run(context: Context): Promise<number>;
}
