/** Parses the command line into a command and its flags. Values stay unparsed until `configure` reads them by type. */
import { parseArgs } from "node:util";
import { suggestion } from "../../util/suggestion.ts";
import { type Operands, operands } from "./operands.ts";
import { type CommandName, commandNames, flagName, type SettingName, settingNames, settingOf } from "./settings.ts";
import { UsageError } from "./usage-error.ts";

/** A parsed command line. */
export interface Arguments {
  /** Undefined when none was given. */
  readonly command: CommandName | undefined;
  /** The words after the command that are neither options nor their values. */
  readonly operands: readonly string[];
  readonly help: boolean;
  readonly version: boolean;
  /** The path of --config. */
  readonly config: string | undefined;
  /** The raw value of each flag: a text, a boolean, or the texts of a repeated flag. */
  readonly flags: ReadonlyMap<SettingName, unknown>;
  /** The words after `--`, for a command that takes another command line; empty for the others. */
  readonly program: readonly string[];
}

type Token = NonNullable<ReturnType<typeof parseArgs>["tokens"]>[number];
type OptionToken = Extract<Token, { kind: "option" }>;

const nameOfFlag = new Map(settingNames.map((name) => [flagName(name), name]));
/** The commands that take another command line after `--`. */
const takeProgram = ["test-client", "completion"];
/** Flags that are not settings. */
const standalone = ["help", "version", "config"];

/** Parses a command line. Throws a UsageError, which suggests the closest name for an unknown command or flag. */
export function readArguments(argv: readonly string[]): Arguments {
  const { tokens } = parseArgs({
    args: [...argv],
    options: optionTypes(),
    // Unknown flags are refused below, with a suggestion, which the errors of parseArgs do not make.
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const end = tokens.find(({ kind }) => kind === "option-terminator")?.index ?? argv.length;
  const texts = tokens.filter((token) => token.kind === "positional");
  const runsProgram = takeProgram.includes(texts[0]?.value ?? "") && (texts[0]?.index ?? 0) < end;
  const words = texts.filter(({ index }) => !runsProgram || index < end).map(({ value }) => value);
  const command = readCommand(words);
  const flags = new Map<SettingName, unknown>();
  const others = new Map<string, string>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const flag = token.name.replace(/^no-/, "");
    const negative = flag !== token.name;
    if (standalone.includes(token.name)) {
      others.set(token.name, token.name === "config" ? textOf(token, command) : "");
      continue;
    }
    const name = nameOfFlag.get(flag);
    if (name === undefined || (negative && settingOf(name).type.placeholder !== undefined)) {
      throw new UsageError(`unknown option ${token.rawName}${suggestion(token.rawName, flagsOf(command))}`, command);
    }
    checkCommand(name, token, command);
    flags.set(name, readFlag(name, token, negative, flags.get(name), command));
  }
  // Checked last: the value of a misspelled flag looks like a positional argument, and the flag is the better error.
  const rest = words.slice(1);
  checkOperands(command, rest);
  return {
    command,
    operands: rest,
    help: others.has("help"),
    version: others.has("version"),
    config: others.get("config"),
    flags,
    program: runsProgram ? argv.slice(end + 1) : [],
  };
}

function optionTypes(): Record<string, { type: "boolean" | "string"; short?: string }> {
  const types: Record<string, { type: "boolean" | "string"; short?: string }> = {
    help: { type: "boolean", short: "h" },
    version: { type: "boolean" },
    config: { type: "string" },
  };
  for (const [flag, name] of nameOfFlag) {
    const { placeholder } = settingOf(name).type;
    types[flag] = { type: placeholder === undefined ? "boolean" : "string" };
    if (placeholder === undefined) types[`no-${flag}`] = { type: "boolean" };
  }
  return types;
}

function readCommand(words: readonly string[]): CommandName | undefined {
  const [word] = words;
  if (word === undefined) return undefined;
  const command = commandNames.find((name) => name === word);
  if (command === undefined) throw new UsageError(`unknown command ${word}${suggestion(word, commandNames)}`);
  return command;
}

function checkOperands(command: CommandName | undefined, words: readonly string[]): void {
  const none: Pick<Operands, "first" | "most"> = { first: [], most: 0 };
  const { first, most } = (command !== undefined && operands[command]) || none;
  const excess = words[most];
  if (excess !== undefined) throw new UsageError(`unexpected argument ${excess}; options start with --`, command);
  const [word] = words;
  if (word === undefined || first.includes(word)) return;
  throw new UsageError(`${command} ${word}: must be ${first.join(", ")}${suggestion(word, first)}`, command);
}

/** Refuses a flag of another command, which would have no effect. */
function checkCommand(name: SettingName, { rawName }: OptionToken, command: CommandName | undefined): void {
  const { for: owners } = settingOf(name);
  if (command === undefined || owners.includes(command)) return;
  throw new UsageError(`${rawName} is not an option of ${command} but of ${owners.join(", ")}`, command);
}

function flagsOf(command: CommandName | undefined): string[] {
  const names = settingNames.filter((name) => command === undefined || settingOf(name).for.includes(command));
  return [...names.map(flagName), ...standalone].map((flag) => `--${flag}`);
}

function readFlag(
  name: SettingName,
  token: OptionToken,
  negative: boolean,
  before: unknown,
  command: CommandName | undefined,
): unknown {
  const { placeholder, many } = settingOf(name).type;
  if (placeholder === undefined) {
    if (negative && token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`, command);
    return negative ? false : (token.value ?? true);
  }
  const value = textOf(token, command);
  return many ? [...((before as string[] | undefined) ?? []), value] : value;
}

function textOf({ rawName, value, inlineValue }: OptionToken, command: CommandName | undefined): string {
  if (value === undefined) throw new UsageError(`${rawName} needs a value`, command);
  // `--title --json` is more likely a forgotten value than the title `--json`.
  if (!inlineValue && value.startsWith("-") && value !== "-") {
    throw new UsageError(`${rawName} needs a value; write ${rawName}=${value} if it starts with a dash`, command);
  }
  return value;
}
