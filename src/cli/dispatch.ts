import { errorFromConnect } from "../client/calls/wire-error.ts";
import { TidingsError } from "../client/tidings-error.ts";
import type { Dependencies, LoadCommands } from "./command.ts";
import { readArguments } from "./config/arguments.ts";
import { configure } from "./config/configuration.ts";
import type { Environment } from "./config/source.ts";
import { TokenError } from "./config/token-source.ts";
import { UsageError } from "./config/usage-error.ts";
import { commandHelp, overview } from "./output/help.ts";
import { Printer } from "./output/printer.ts";
import type { Io } from "./process/io.ts";

/**
 * Runs a command line: the elements of process.argv after the program and the script. Returns the exit code: 0 for
 * success, 1 for a failure, 2 for a wrong command line or configuration. Never rejects and never ends the process.
 */
export async function dispatch(
  argv: readonly string[],
  env: Environment,
  io: Io,
  deps: Dependencies,
  load: LoadCommands,
): Promise<number> {
  const print = new Printer(io, env);
  try {
    return await run(argv, env, { io, deps, print }, load);
  } catch (error) {
    print.error(sentenceOf(error));
    if (!(error instanceof UsageError)) return 1;
    print.note(`see: tidings ${error.command === undefined ? "" : `${error.command} `}--help`);
    return 2;
  }
}

async function run(
  argv: readonly string[],
  env: Environment,
  { io, deps, print }: { io: Io; deps: Dependencies; print: Printer },
  load: LoadCommands,
): Promise<number> {
  const args = readArguments(argv);
  if (args.version) {
    print.line(deps.version);
    return 0;
  }
  const commands = await load(args.command);
  const command = commands.find(({ name }) => name === args.command);
  if (args.help) {
    print.line(command === undefined ? overview(commands, deps.version) : commandHelp(command));
    return 0;
  }
  if (command === undefined) throw new UsageError(`name a command: ${commands.map(({ name }) => name).join(", ")}`);
  const values = configure(command.name, args, env);
  return command.run({ values, operands: args.operands, program: args.program, env, io, deps, print, load });
}

/** `code REASON: message` for the error of a server, the message alone for any other error. */
function sentenceOf(error: unknown): string {
  // Connect wraps what its interceptors throw in an error of its own.
  if (error instanceof Error && error.cause instanceof TokenError) return error.cause.message;
  // By its name, so that the first thread of a server does not load Connect for its errors alone.
  if (error instanceof TidingsError || (error instanceof Error && error.name === "ConnectError")) {
    const { code, reason, message } = errorFromConnect(error);
    return `${code}${reason === undefined ? "" : ` ${reason}`}: ${message}`;
  }
  return error instanceof Error ? error.message : String(error);
}
