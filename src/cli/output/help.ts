/** The help, made from the commands and the table of options. */
import type { Command } from "../commands/command.ts";
import {
  type CommandName,
  environmentName,
  flagName,
  type SettingName,
  settingNames,
  settingOf,
} from "../config/settings.ts";

const width = 100;

/** The help on the whole. */
export function overview(commands: readonly Command[], version: string): string {
  return [
    `Tidings ${version}: a typed push service. Live events and a durable inbox over one contract.`,
    "",
    "Usage: tidings <command> [options]",
    "",
    "Commands:",
    ...commands.map(({ name, summary }) => `  ${name.padEnd(10)} ${summary}`),
    "",
    "Options of every command:",
    ...everywhereLines(),
    "  --version",
    "      Print the version.",
    "",
    "Examples:",
    ...commands.flatMap(({ examples }) => examples.slice(0, 1)).map(exampleLine),
    "",
    ...wrap(`${sources("jwtSecret")} A flag goes before the environment, the environment before the file.`, ""),
    "",
    exitCodes,
    "`tidings <command> --help` says more.",
  ].join("\n");
}

/** The help on one command. */
export function commandHelp({ name, summary, details, examples }: Command): string {
  const mine = settingNames.filter((setting) => settingOf(setting).for.includes(name) && setting !== "json");
  const flags = mine.filter((setting) => settingOf(setting).flagOnly);
  const hasDurations = mine.some((setting) => settingOf(setting).type.placeholder === "duration");
  const configurable = mine.filter((setting) => !settingOf(setting).flagOnly);
  return [
    `Usage: tidings ${name} [options]`,
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
    "Options that the environment and the file can set, too:",
    ...configurable.flatMap((setting) => optionLines(setting, name)),
    "",
    ...wrap(sources(configurable.find((setting) => /[A-Z]/.test(setting)) ?? "url"), ""),
    ...(hasDurations ? ["A duration is a number with a unit: 500ms, 25s, 15m, 24h, 7d."] : []),
    "",
    exitCodes,
  ].join("\n");
}

const exitCodes = "Exit codes: 0 done, 1 failed, 2 the command line or the configuration is wrong.";

function sources(name: SettingName): string {
  return `--${flagName(name)} is also ${environmentName(name)} in the environment, and ${name} in the JSON or YAML file that --config or TIDINGS_CONFIG names.`;
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
