/** Runs one command line. */
import { ConnectError } from "@connectrpc/connect";
import { TidingsError } from "../client/tidings-error.ts";
import { errorFromThrown } from "../client/wire-error.ts";
import { readArguments } from "./arguments.ts";
import type { Command, Dependencies, Io } from "./command.ts";
import { configure, type Environment } from "./configuration.ts";
import { dev } from "./dev.ts";
import { disconnect } from "./disconnect.ts";
import { commandHelp, overview } from "./help.ts";
import { online } from "./online.ts";
import { Printer } from "./printer.ts";
import { publish } from "./publish.ts";
import { serve } from "./serve.ts";
import { tail } from "./tail.ts";
import { token } from "./token.ts";
import { unread } from "./unread.ts";
import { UsageError } from "./usage-error.ts";

/** All commands, in the order of the help. */
export const commands: readonly Command[] = [serve, dev, token, publish, tail, unread, online, disconnect];

/**
 * Runs a command line, without the node and script of process.argv. Answers the exit code: 0 done, 1 failed, 2 the command
 * line or the configuration is wrong. Never throws and never ends the process.
 */
export async function main(argv: readonly string[], env: Environment, io: Io, deps: Dependencies): Promise<number> {
  const print = new Printer(io, env);
  try {
    return await run(argv, env, { io, deps, print });
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
): Promise<number> {
  const given = readArguments(argv);
  if (given.version) {
    print.line(deps.version);
    return 0;
  }
  const command = commands.find(({ name }) => name === given.command);
  if (given.help) {
    print.line(command === undefined ? overview(commands, deps.version) : commandHelp(command));
    return 0;
  }
  if (command === undefined) throw new UsageError(`name a command: ${commands.map(({ name }) => name).join(", ")}`);
  return command.run({ values: configure(command.name, given, env), io, deps, print });
}

/** `code REASON: sentence` for what a server answered, the sentence alone for everything else. */
function sentenceOf(error: unknown): string {
  if (error instanceof ConnectError || error instanceof TidingsError) {
    const { code, reason, message } = errorFromThrown(error);
    return `${code}${reason === undefined ? "" : ` ${reason}`}: ${message}`;
  }
  return error instanceof Error ? error.message : String(error);
}
