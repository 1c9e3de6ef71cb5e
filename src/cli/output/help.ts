/** The help, generated from the commands and the table of settings. */
import type { Command } from "../command.ts";
import { operands } from "../config/operands.ts";
import {
  type CommandName,
  environmentName,
  flagName,
  isFlagOnly,
  type SettingName,
  settingNames,
  settingOf,
} from "../config/settings.ts";

const width = 100;

/** The general help. */
export function overview(commands: readonly Command[], version: string): string {
  return [
    `Tidings ${version}: a typed push service with live events and a durable inbox.`,
    "",
    "Usage: tidings <command> [options]",
    "",
    "Commands:",
    ...commands.map(({ name, summary }) => `  ${name.padEnd(11)} ${summary}`),
    "",
    "Options of every command:",
    ...everywhereLines(),
    "  --version",
    "      Print the version.",
    "",
    "Examples:",
    ...commands.flatMap(({ examples }) => examples.slice(0, 1)).map(exampleLine),
    "",
    ...wrap(`${sources("jwtSecret")} A flag overrides the environment, and the environment overrides the file.`, ""),
    "",
    exitCodes,
    "Run `tidings <command> --help` for the options of a command.",
  ].join("\n");
}

/** The help of one command. */
export function commandHelp({ name, summary, details, examples }: Command): string {
  const own = settingNames.filter((setting) => settingOf(setting).for.includes(name) && setting !== "json");
  const usage = operands[name] === undefined ? "" : `${operands[name].usage} `;
  const flags = own.filter((setting) => isFlagOnly(setting, name));
  const hasDurations = own.some((setting) => settingOf(setting).type.placeholder === "duration");
  const configurable = own.filter((setting) => !isFlagOnly(setting, name));
  return [
    `Usage: tidings ${name} ${usage}[options]`,
    "",
    ...wrap(summary, ""),
    ...(details === undefined ? [] : ["", ...wrap(details, "")]),
    "",
    "Examples:",
    ...examples.map(exampleLine),
    "",
    "Options:",
    ...flags.flatMap((setting) => optionLines(setting, name)),
    ...everywhereLines(),
    "",
    ...(configurable.length === 0 ? [] : configurableLines(configurable, name)),
    ...(hasDurations ? ["A duration is a number with a unit, such as 500ms, 25s, 15m, 24h or 7d."] : []),
    "",
    exitCodes,
  ].join("\n");
}

function configurableLines(configurable: readonly SettingName[], command: CommandName): string[] {
  return [
    "Options that the environment and the configuration file can also set:",
    ...configurable.flatMap((setting) => optionLines(setting, command)),
    "",
    ...wrap(sources(configurable.find((setting) => /[A-Z]/.test(setting)) ?? configurable[0] ?? "url"), ""),
  ];
}

const exitCodes = "Exit codes: 0 success, 1 failure, 2 wrong command line or configuration.";

function sources(name: SettingName): string {
  return `--${flagName(name)} can also be set as ${environmentName(name)} in the environment, or as ${name} in the JSON or YAML file that --config or TIDINGS_CONFIG names.`;
}

function exampleLine(example: string): string {
  return `  ${example}`;
}

function everywhereLines(): string[] {
  return [
    ...optionLines("json", "serve"),
    "  --config <path>",
    "      Read options from this JSON or YAML file.",
    "  -h, --help",
    "      Print this help.",
  ];
}

function optionLines(name: SettingName, command: CommandName): string[] {
  const { type, help, default: general, defaultOf } = settingOf(name);
  const preset = defaultOf?.[command] ?? general;
  const shown = preset === undefined || preset === "false" ? "" : ` Default: ${preset.replaceAll(",", ", ")}.`;
  const value = type.placeholder === undefined ? "" : ` <${type.placeholder}>`;
  return [`  --${flagName(name)}${value}`, ...wrap(`${help}${shown}`, "      ")];
}

function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(" ")) {
    if (line.length > indent.length && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent;
    }
    line += line.length > indent.length ? ` ${word}` : word;
  }
  return [...lines, line];
}
