/**
 * Places the values of a context among those of a command line. A context counts where its name was given: one that
 * --context names is stronger than TIDINGS_URL, and one that TIDINGS_CONTEXT names is stronger than the current context. At
 * the same source, --url and the token options are stronger than the context.
 */
import { suggestion } from "../../util/suggestion.ts";
import { type Contexts, contextsPath, readContexts, type SavedContext } from "./contexts.ts";
import { type CommandName, flagName, type SettingName } from "./settings.ts";
import type { Environment, RawValue, Source } from "./source.ts";
import { UsageError } from "./usage-error.ts";
import { url as urlType } from "./value-types.ts";

const tokens = ["token", "tokenFile", "tokenCommand"] as const satisfies readonly SettingName[];

/**
 * Returns the sources, strongest first, with the values of the selected context after the source that named it, and with
 * at most one token among all of them. Throws a UsageError when there is no such context, when one source has two tokens,
 * and when the token of the context would go to the server of another URL.
 */
export function selectContext(sources: readonly Source[], command: CommandName, env: Environment): readonly Source[] {
  const index = sources.findIndex((source) => source.has("context"));
  const stronger = index < 0 ? sources : sources.slice(0, index + 1);
  // Nothing of a context would be used, so a broken file of contexts does no harm.
  const isComplete = stronger.some((source) => source.has("url")) && stronger.some(hasToken);
  const named = sources[index]?.get("context");
  const context = named === undefined && isComplete ? undefined : find(named, stronger.some(hasToken), command, env);
  if (context === undefined) return withOneToken(sources, command);
  const all = [...stronger, context.source, ...sources.slice(stronger.length)];
  const chosen = withOneToken(all, command);
  if (hasToken(context.source) && chosen.includes(context.source)) checkOrigin(all, context, command);
  return chosen;
}

interface Selected {
  readonly name: string;
  readonly saved: SavedContext;
  readonly source: Source;
}

/** `hasOther`: a stronger source has a token, so that of the context is not needed. */
function find(
  named: RawValue | undefined,
  hasOther: boolean,
  command: CommandName,
  env: Environment,
): Selected | undefined {
  const path = contextsPath(env);
  const contexts = readContexts(path);
  const name = named === undefined ? contexts.current : String(named.raw);
  if (name === "") return undefined;
  const saved = contexts.contexts.get(name);
  if (saved === undefined) throw new UsageError(missing(named, name, contexts, path), command);
  return { name, saved, source: sourceOf(name, saved, hasOther, command, env) };
}

function missing(named: RawValue | undefined, name: string, { contexts }: Contexts, path: string | undefined): string {
  if (named === undefined) return `${path}: the current context ${name} does not exist; run tidings context use`;
  return `${named.where}: there is no context ${name}${suggestion(name, contexts.keys())}`;
}

function sourceOf(
  name: string,
  saved: SavedContext,
  hasOther: boolean,
  command: CommandName,
  env: Environment,
): Source {
  const { tokenEnv, ...values } = saved;
  const source = new Map<SettingName, RawValue>();
  for (const [key, raw] of Object.entries(values)) {
    source.set(key as SettingName, { raw, where: `${key} of the context ${name}` });
  }
  if (tokenEnv === undefined || hasOther) return source;
  if (!env[tokenEnv])
    throw new UsageError(`the context ${name} takes its token from ${tokenEnv}, which is not set`, command);
  return source.set("token", { raw: env[tokenEnv], where: tokenEnv });
}

/** Leaves only the strongest token: the sources name three kinds, and a weaker one must not stand beside a stronger one. */
function withOneToken(sources: readonly Source[], command: CommandName): readonly Source[] {
  const strongest = sources.find(hasToken);
  if (strongest === undefined) return sources;
  const given = tokens.filter((name) => strongest.has(name));
  if (given.length > 1) {
    const flags = given.map((name) => `--${flagName(name)}`).join(" and ");
    throw new UsageError(`${flags} exclude each other; set one of them`, command);
  }
  return sources.map((source) => {
    if (source === strongest || !hasToken(source)) return source;
    return new Map([...source].filter(([name]) => !(tokens as readonly SettingName[]).includes(name)));
  });
}

function checkOrigin(sources: readonly Source[], { name, saved }: Selected, command: CommandName): void {
  const target = sources.find((source) => source.has("url"))?.get("url");
  const url = urlType.read(target?.raw);
  // A URL that is not valid is reported when it is read.
  if (target === undefined || url === undefined || new URL(url).origin === new URL(saved.url).origin) return;
  throw new UsageError(
    `the token of the context ${name} is for ${new URL(saved.url).origin} and is not sent to ${target.where}; name a token for that server`,
    command,
  );
}

function hasToken(source: Source): boolean {
  return tokens.some((name) => source.has(name));
}
