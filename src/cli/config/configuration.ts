/** Puts an option's value together: flag before environment before file before default. */
import { parse, YAMLParseError } from "yaml";
import type { Arguments } from "./arguments.ts";
import { readText } from "./files.ts";
import { suggestion } from "./nearest.ts";
import {
  type CommandName,
  environmentName,
  flagName,
  type SettingName,
  settingNames,
  settingOf,
  type Values,
} from "./settings.ts";
import { UsageError } from "./usage-error.ts";

/** The environment of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A value as it was written, and where. */
interface Given {
  readonly raw: unknown;
  readonly where: string;
}

const configName = "TIDINGS_CONFIG";
const configurable = settingNames.filter((name) => !settingOf(name).flagOnly);
const environmentNames = [...configurable.map(environmentName), configName];

/**
 * What Kubernetes and Docker set in the containers beside a service that is named `tidings`. Source:
 * https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
const serviceLink = /^TIDINGS_(NAME|ENV_.+|SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_.+)?)$/;

/** The values of a command's options. Throws a UsageError for a name that is not known and a value that is not allowed. */
export function configure(command: CommandName, given: Arguments, env: Environment): Values {
  const fromEnvironment = readEnvironment(env);
  const config = given.config ?? (env[configName] || undefined);
  const fromFile = config === undefined ? new Map<SettingName, Given>() : readConfig(config);
  const values: Partial<Record<SettingName, unknown>> = {};
  for (const name of settingNames) {
    const setting = settingOf(name);
    const flag = given.flags.has(name) ? { raw: given.flags.get(name), where: `--${flagName(name)}` } : undefined;
    const preset = setting.defaultOf?.[command] ?? setting.default;
    const byDefault = preset === undefined ? undefined : { raw: preset, where: `the default of ${name}` };
    const used = setting.for.includes(command) ? (flag ?? fromEnvironment.get(name) ?? fromFile.get(name)) : undefined;
    const source = used ?? byDefault;
    if (source !== undefined) values[name] = readValue(name, source, command);
  }
  return values as Values;
}

function readValue(name: SettingName, { raw, where }: Given, command: CommandName): unknown {
  const { type } = settingOf(name);
  const value = type.read(raw);
  // The value itself is not repeated: it may be a secret.
  if (value === undefined) throw new UsageError(`${where}: must be ${type.allowed}`, command);
  return value;
}

function readEnvironment(env: Environment): Map<SettingName, Given> {
  for (const name of Object.keys(env)) {
    // Names of the project's own test suite are not options.
    if (!name.startsWith("TIDINGS_") || name.startsWith("TIDINGS_TEST_") || serviceLink.test(name)) continue;
    if (!environmentNames.includes(name)) {
      throw new UsageError(`unknown environment variable ${name}${suggestion(name, environmentNames)}`);
    }
  }
  const found = new Map<SettingName, Given>();
  for (const name of configurable) {
    const own = environmentName(name);
    const { environment: common = own } = settingOf(name);
    const where = env[own] ? own : common;
    const raw = env[where];
    // Empty is how many tools write "not set".
    if (!raw || (name === "port" && /^(tcp|udp|sctp):/.test(raw))) continue;
    found.set(name, { raw, where });
  }
  return found;
}

function readConfig(path: string): Map<SettingName, Given> {
  const document = parseConfig(path, readText(path, "--config"));
  const found = new Map<SettingName, Given>();
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
    // Not the parser's message: it quotes the file, which may hold a secret.
    const { line, col } = (error instanceof YAMLParseError && error.linePos?.[0]) || { line: 1, col: 1 };
    throw new UsageError(`${path}: neither JSON nor YAML from line ${line}, column ${col} on`);
  }
  if (document === null || document === undefined) return {};
  if (typeof document !== "object" || Array.isArray(document)) {
    throw new UsageError(`${path}: must hold names and values, such as \`port: 7300\``);
  }
  return document;
}
