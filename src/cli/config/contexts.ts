/**
 * The file of contexts: the servers that a user has named, each with its URL and where its token comes from. It is
 * written as a whole and replaced in one step, so a reader finds the old content or the new one.
 */
import { readFileSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { suggestion } from "../../util/suggestion.ts";
import { replaceFile } from "./replace-file.ts";
import type { Environment } from "./source.ts";
import { UsageError } from "./usage-error.ts";
import { jwt, path as pathType, text, url as urlType, type ValueType } from "./value-types.ts";

/** A named server. At most one of the last four is set. */
export interface SavedContext {
  readonly url: string;
  /** The token itself. */
  readonly token?: string;
  /** The path of a file that holds the token. */
  readonly tokenFile?: string;
  /** A shell command that prints the token. */
  readonly tokenCommand?: string;
  /** The name of an environment variable that holds the token. */
  readonly tokenEnv?: string;
}

/** The content of the file. */
export interface Contexts {
  /** The name of the context that is used when none is named; empty when there is none. */
  readonly current: string;
  /** The contexts by their names. */
  readonly contexts: ReadonlyMap<string, SavedContext>;
}

const fields: Readonly<Record<keyof SavedContext, ValueType<string>>> = {
  url: urlType,
  token: jwt,
  tokenFile: pathType,
  tokenCommand: text,
  tokenEnv: text,
};

/** Reports whether `context add` takes a text as a name. Such a name means itself in every shell. */
export function isContextName(text: string): boolean {
  return /^[\w.-]{1,64}$/.test(text);
}

/** The fields that say where a token comes from. */
export const tokenFields = ["token", "tokenFile", "tokenCommand", "tokenEnv"] as const;

const none: Contexts = { current: "", contexts: new Map() };

/**
 * The path of the file: `tidings/contexts.json` below XDG_CONFIG_HOME, ~/.config or, on Windows, %APPDATA%. Undefined
 * where the environment has none of these.
 * Source: https://specifications.freedesktop.org/basedir-spec/latest/
 */
export function contextsPath(env: Environment, platform: NodeJS.Platform = process.platform): string | undefined {
  const { XDG_CONFIG_HOME: config, HOME: home, APPDATA: appData } = env;
  // The specification has a relative path ignored.
  const folder =
    config && isAbsolute(config) ? config : platform === "win32" && appData ? appData : home && join(home, ".config");
  return folder ? join(folder, "tidings", "contexts.json") : undefined;
}

/**
 * Reads the file; without a file there are no contexts. Throws a UsageError that names the file when its content is not
 * of the form that writeContexts writes, or when it holds a token and other users of the machine may read it.
 */
export function readContexts(path: string | undefined): Contexts {
  if (path === undefined) return none;
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return none;
    throw new Error(`cannot read ${path}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
  }
  const contexts = parseContexts(path, content);
  const holdsToken = [...contexts.contexts.values()].some(({ token }) => token !== undefined);
  // Windows reports modes that mean nothing.
  if (holdsToken && process.platform !== "win32" && (statSync(path).mode & 0o077) !== 0) {
    throw new UsageError(`${path}: holds a token, and other users may read it; run chmod 600 ${path}`);
  }
  return contexts;
}

/** Writes the file. Only its owner may read it. */
export function writeContexts(path: string, { current, contexts }: Contexts): void {
  const content = JSON.stringify({ current, contexts: Object.fromEntries(contexts) }, undefined, 2);
  replaceFile(path, `${content}\n`);
}

/** The messages quote names, and never values: these may be tokens. */
function parseContexts(path: string, content: string): Contexts {
  let document: unknown;
  try {
    document = JSON.parse(content);
  } catch {
    throw new UsageError(`${path}: not valid JSON; correct or remove it`);
  }
  if (!isRecord(document) || !isRecord(document.contexts) || typeof (document.current ?? "") !== "string") {
    throw new UsageError(`${path}: must have \`current\`, the name of a context, and the object \`contexts\``);
  }
  const saved = Object.entries(document.contexts).map(
    ([name, value]) => [name, parseContext(path, name, value)] as const,
  );
  return { current: (document.current as string | undefined) ?? "", contexts: new Map(saved) };
}

function parseContext(path: string, name: string, value: unknown): SavedContext {
  if (!isRecord(value)) throw new UsageError(`${path}: contexts.${name} must be an object`);
  for (const [key, item] of Object.entries(value)) {
    const type = Object.hasOwn(fields, key) ? fields[key as keyof SavedContext] : undefined;
    if (type === undefined) {
      throw new UsageError(`${path}: unknown key contexts.${name}.${key}${suggestion(key, Object.keys(fields))}`);
    }
    if (type.read(item) === undefined) throw new UsageError(`${path}: contexts.${name}.${key} must be ${type.allowed}`);
  }
  const saved = value as unknown as SavedContext;
  if (saved.url === undefined) throw new UsageError(`${path}: contexts.${name}.url is missing`);
  const given = tokenFields.filter((field) => saved[field] !== undefined);
  if (given.length > 1) throw new UsageError(`${path}: contexts.${name} must not have both ${given.join(" and ")}`);
  return saved;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
