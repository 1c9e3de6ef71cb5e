/** What can stand at the cursor of a command line, from the table of settings. */
import { contextsPath, isContextName, readContexts } from "../config/contexts.ts";
import { operands } from "../config/operands.ts";
import {
  type CommandName,
  commandNames,
  flagName,
  type SettingName,
  settingNames,
  settingOf,
} from "../config/settings.ts";
import type { Environment } from "../config/source.ts";

/** One word that can stand there. */
export interface Candidate {
  readonly word: string;
  /** One sentence, or empty. */
  readonly description: string;
}

/** The words that can stand at the cursor. */
export interface Candidates {
  readonly words: readonly Candidate[];
  /** The path of a file can stand there. */
  readonly files: boolean;
}

const longest = 100;
const nothing: Candidates = { words: [], files: false };
const nameOfFlag = new Map(settingNames.map((name) => [`--${flagName(name)}`, name]));
const common: readonly Candidate[] = [
  { word: "--config", description: "Read options from this JSON or YAML file." },
  { word: "--help", description: "Print this help." },
];

/**
 * The candidates for the last of these words, which may be empty or incomplete. The words are those after the program's name.
 * `summaryOf` describes a command.
 */
export function candidatesFor(
  words: readonly string[],
  env: Environment,
  summaryOf: (name: CommandName) => string,
): Candidates {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  // The command line of another program begins.
  if (before.includes("--")) return { words: [], files: true };
  const plain = plainWords(before);
  const command = commandNames.find((name) => name === plain[0]);
  const option = before.at(-1) ?? "";
  if (takesValue(option)) return matching(valuesOf(option, current, env), current);
  const [flag = "", value] = split(current);
  if (value !== undefined) {
    const found = valuesOf(flag, value, env);
    const whole = found.words.map(({ word, description }) => ({ word: `${flag}=${word}`, description }));
    return matching({ words: whole, files: found.files }, current);
  }
  if (command === undefined) {
    if (plain.length > 0) return nothing;
    const names = commandNames.map((name) => ({ word: name, description: summaryOf(name) }));
    return matching(current.startsWith("-") ? options(undefined, before) : { words: names, files: false }, current);
  }
  const next = operandsAt(command, plain.slice(1), env);
  if (next !== undefined && !current.startsWith("-")) return matching(next, current);
  return matching(options(command, before), current);
}

/** The words that are neither options nor their values. */
function plainWords(words: readonly string[]): string[] {
  return words.filter((word, index) => !word.startsWith("-") && !takesValue(words[index - 1] ?? ""));
}

function takesValue(option: string): boolean {
  if (option === "--config") return true;
  const name = nameOfFlag.get(option);
  return name !== undefined && settingOf(name).type.placeholder !== undefined;
}

/** `--name=value` as its two parts; the second is undefined where there is no such form. */
function split(word: string): [string, string | undefined] {
  const index = word.indexOf("=");
  if (!word.startsWith("--") || index < 0) return [word, undefined];
  return [word.slice(0, index), word.slice(index + 1)];
}

function valuesOf(option: string, current: string, env: Environment): Candidates {
  const name = nameOfFlag.get(option);
  if (option === "--config") return { words: [], files: true };
  if (name === undefined) return nothing;
  if (name === "context") return contextNames(env);
  const { words, placeholder } = settingOf(name).type;
  if (words === undefined) return { words: [], files: placeholder === "path" };
  const isList = placeholder?.endsWith(",…") === true;
  const given = isList ? current.split(",").slice(0, -1) : [];
  const prefix = given.map((word) => `${word},`).join("");
  const left = words.filter((word) => !given.includes(word));
  return { words: left.map((word) => ({ word: prefix + word, description: "" })), files: false };
}

function operandsAt(command: CommandName, given: readonly string[], env: Environment): Candidates | undefined {
  const { first } = operands[command] ?? {};
  if (first === undefined) return undefined;
  if (given.length === 0) return { words: first.map((word) => ({ word, description: "" })), files: false };
  const [action = ""] = given;
  return command === "context" && given.length === 1 && ["use", "remove"].includes(action)
    ? contextNames(env)
    : undefined;
}

function contextNames(env: Environment): Candidates {
  try {
    const { contexts } = readContexts(contextsPath(env));
    // The file may have been edited by hand, and bash completes a name as it is, with a `$(…)` that then runs.
    const safe = [...contexts].filter(([name]) => isContextName(name));
    return { words: safe.map(([word, { url }]) => ({ word, description: url })), files: false };
  } catch {
    // The command itself will say what is wrong with the file.
    return nothing;
  }
}

/** The options of a command that can still be given. */
function options(command: CommandName | undefined, before: readonly string[]): Candidates {
  const used = new Set(before.map((word) => split(word)[0]));
  const own = settingNames.filter((name) => command !== undefined && settingOf(name).for.includes(command));
  const version = command === undefined ? [{ word: "--version", description: "Print the version." }] : [];
  const words = [...own.map((name) => optionOf(name)), ...common, ...version].filter(
    ({ word }) => !used.has(word) || isRepeatable(word),
  );
  return { words, files: false };
}

function optionOf(name: SettingName): Candidate {
  const { type, default: preset, help } = settingOf(name);
  const isOn = type.placeholder === undefined && preset === "true";
  const [sentence = ""] = help.split(/(?<=[a-z)])\. /);
  return {
    word: `--${isOn ? "no-" : ""}${flagName(name)}`,
    description: sentence.slice(0, longest).replace(/\.$/, ""),
  };
}

function isRepeatable(option: string): boolean {
  const name = nameOfFlag.get(option);
  return name !== undefined && settingOf(name).type.many === true;
}

function matching({ words, files }: Candidates, current: string): Candidates {
  return { words: words.filter(({ word }) => word.startsWith(current)), files };
}
