/** Determines the value of each setting: a flag overrides the environment, the environment the file, the file the default. */
import { parse, YAMLParseError } from "yaml";
import { suggestion } from "../../util/suggestion.ts";
import type { Arguments } from "./arguments.ts";
import { readText } from "./read-text.ts";
import { selectContext } from "./select-context.ts";
import {
  type CommandName,
  environmentName,
  flagName,
  isFlagOnly,
  type SettingName,
  settingNames,
  settingOf,
  settings,
  type Values,
} from "./settings.ts";
import type { Environment, RawValue, Source } from "./source.ts";
import { UsageError } from "./usage-error.ts";

const configName = "TIDINGS_CONFIG";
const configurable = settingNames.filter((name) => !settingOf(name).flagOnly);
const environmentNames = [...configurable.map(environmentName), configName];

/**
 * Variables that Kubernetes and Docker set in containers next to a service named `tidings`. They must not be refused as
 * misspelled settings. See https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
const serviceLink = /^TIDINGS_(NAME|ENV_.+|SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_.+)?)$/;

/**
 * Reads the settings of a command. Throws a UsageError for an unknown name, for a value that is not allowed, and for a
 * context that cannot be used.
 */
export function configure(command: CommandName, args: Arguments, env: Environment): Values {
  const flags = new Map([...args.flags].map(([name, raw]) => [name, { raw, where: `--${flagName(name)}` }]));
  const environment = readEnvironment(env);
  const config = args.config ?? (env[configName] || undefined);
  const file = config === undefined ? new Map<SettingName, RawValue>() : readConfig(config);
  const own = [flags, ...[environment, file].map((source) => withoutFlagOnly(source, command))];
  const calls = settings.context.for.some((name) => name === command && command !== "context");
  const sources = calls ? selectContext(own, command, env) : own;
  const values: Partial<Record<SettingName, unknown>> = {};
  for (const name of settingNames) {
    const setting = settingOf(name);
    const preset = setting.defaultOf?.[command] ?? setting.default;
    const byDefault = preset === undefined ? undefined : { raw: preset, where: `the default of ${name}` };
    const given = setting.for.includes(command) ? sources.find((source) => source.has(name))?.get(name) : undefined;
    const used = given ?? byDefault;
    if (used !== undefined) values[name] = readValue(name, used, command);
  }
  return values as Values;
}

/** The values that the command takes from its environment or its file. */
function withoutFlagOnly(source: Source, command: CommandName): Source {
  return new Map([...source].filter(([name]) => !isFlagOnly(name, command)));
}

function readValue(name: SettingName, { raw, where }: RawValue, command: CommandName): unknown {
  const { type } = settingOf(name);
  const value = type.read(raw);
  // The message does not quote the value, which may be a secret.
  if (value === undefined) throw new UsageError(`${where}: must be ${type.allowed}`, command);
  return value;
}

function readEnvironment(env: Environment): Map<SettingName, RawValue> {
  for (const name of Object.keys(env)) {
    // The project's own test suite uses TIDINGS_TEST_*.
    if (!name.startsWith("TIDINGS_") || name.startsWith("TIDINGS_TEST_") || serviceLink.test(name)) continue;
    if (!environmentNames.includes(name)) {
      throw new UsageError(`unknown environment variable ${name}${suggestion(name, environmentNames)}`);
    }
  }
  const found = new Map<SettingName, RawValue>();
  for (const name of configurable) {
    const own = environmentName(name);
    const { environment: common = own } = settingOf(name);
    const where = env[own] ? own : common;
    const raw = env[where];
    // Many tools write an empty value for "not set". TIDINGS_PORT may be one of the variables of serviceLink.
    if (!raw || (name === "port" && /^(tcp|udp|sctp):/.test(raw))) continue;
    found.set(name, { raw, where });
  }
  return found;
}

function readConfig(path: string): Map<SettingName, RawValue> {
  const document = parseConfig(path, readText(path, "--config"));
  const found = new Map<SettingName, RawValue>();
  for (const [key, raw] of Object.entries(document)) {
    const name = configurable.find((known) => known === key);
    if (name === undefined) throw new UsageError(`unknown key ${key} in ${path}${suggestion(key, configurable)}`);
    if (raw !== null) found.set(name, { raw, where: `${key} in ${path}` });
  }
  return found;
}

function parseConfig(path: string, content: string): object {
  let document: unknown;
  try {
    document = parse(content, { logLevel: "error" });
  } catch (error) {
    // The parser's own message quotes the file, which may hold a secret.
    const { line, col } = (error instanceof YAMLParseError && error.linePos?.[0]) || { line: 1, col: 1 };
    throw new UsageError(`${path}: not valid JSON or YAML at line ${line}, column ${col}`);
  }
  if (document === null || document === undefined) return {};
  if (typeof document !== "object" || Array.isArray(document)) {
    throw new UsageError(`${path}: must be a mapping of names to values, such as \`port: 7300\``);
  }
  return document;
}
