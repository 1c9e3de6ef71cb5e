import { resolve } from "node:path";
import { suggestion } from "../../util/suggestion.ts";
import type { Command, Context } from "../command.ts";
import {
  contextsPath,
  isContextName,
  readContexts,
  type SavedContext,
  tokenFields,
  writeContexts,
} from "../config/contexts.ts";
import { flagName, type Values } from "../config/settings.ts";
import { UsageError } from "../config/usage-error.ts";

/** `tidings context`: keeps the servers that other commands call, by name. */
export const context: Command = {
  name: "context",
  summary: "Name the servers to call, each with its URL and token.",
  details:
    "Commands that call a server use the current context, or the one of --context or TIDINGS_CONTEXT. The file is " +
    "tidings/contexts.json in XDG_CONFIG_HOME, ~/.config or %APPDATA%, and only its owner may read it. Prefer " +
    "--token-command, --token-file or --token-env to --token, which is stored as it is. A context's token is never sent to " +
    "a URL of another origin. `list` shows no tokens and no commands.",
  examples: [
    "tidings context add dev --url http://127.0.0.1:7300 --token-env DEV_TOKEN",
    "tidings context add prod --url https://push.example.com --token-command 'vault read -field=token tidings/ops'",
    "tidings context use prod",
    "tidings context list",
    "tidings context remove dev",
  ],
  async run(given) {
    const [action, name] = given.operands;
    if (action === "list" && name === undefined) return list(given);
    if (action === undefined || action === "list") throw usage("context: add, use or remove a context, or list all");
    if (name === undefined) throw usage(`context ${action}: name a context`);
    if (action === "add") return add(given, name);
    return action === "use" ? use(given, name) : remove(given, name);
  },
};

function add({ values, env, print }: Context, name: string): number {
  if (!isContextName(name))
    throw usage(`context add: a name has 1 to 64 letters, digits, dots, dashes and underscores`);
  const { path, current, contexts } = load(env);
  if (contexts.has(name)) throw usage(`there is a context ${name} already; remove it first`);
  writeContexts(path, { current, contexts: new Map([...contexts, [name, savedOf(values)]]) });
  print.line(`added ${name}`);
  if (current === "") print.note(`to call it without --context: tidings context use ${name}`);
  return 0;
}

function savedOf(values: Values): SavedContext {
  const { url } = values;
  if (url === undefined) throw usage("context add: --url is required");
  const given = tokenFields.filter((field) => values[field] !== undefined);
  if (given.length > 1) {
    throw usage(`${given.map((field) => `--${flagName(field)}`).join(" and ")} exclude each other; set one of them`);
  }
  const saved = { url, ...Object.fromEntries(given.map((field) => [field, values[field]])) };
  // It is read from other folders, too.
  return values.tokenFile === undefined ? saved : { ...saved, tokenFile: resolve(values.tokenFile) };
}

function use({ env, print }: Context, name: string): number {
  const { path, contexts } = load(env);
  check(name, contexts);
  writeContexts(path, { current: name, contexts });
  print.line(`using ${name}`);
  return 0;
}

function remove({ env, print }: Context, name: string): number {
  const { path, current, contexts } = load(env);
  check(name, contexts);
  const rest = new Map([...contexts].filter(([each]) => each !== name));
  writeContexts(path, { current: current === name ? "" : current, contexts: rest });
  print.line(`removed ${name}`);
  return 0;
}

function list({ values, env, print }: Context): number {
  const { current, contexts } = readContexts(contextsPath(env));
  const selected = values.context ?? current;
  const width = Math.max(0, ...[...contexts.keys()].map((name) => name.length));
  for (const [name, saved] of contexts) {
    const token = tokenFields.find((field) => saved[field] !== undefined);
    if (values.json) print.json({ name, url: saved.url, current: name === selected, ...(token && { token }) });
    else print.line(`${name === selected ? "*" : " "} ${name.padEnd(width)}  ${saved.url}  ${tokenText(saved)}`);
  }
  return 0;
}

/** A command may hold a password, and a token is one. */
function tokenText({ token, tokenFile, tokenCommand, tokenEnv }: SavedContext): string {
  if (tokenFile !== undefined) return `token of the file ${tokenFile}`;
  if (tokenEnv !== undefined) return `token of ${tokenEnv}`;
  if (tokenCommand !== undefined) return "token of a command";
  return token === undefined ? "no token" : "token in this file";
}

function load(env: Context["env"]) {
  const path = contextsPath(env);
  if (path === undefined) throw new Error("there is no folder for contexts: set HOME or XDG_CONFIG_HOME");
  return { path, ...readContexts(path) };
}

function check(name: string, contexts: ReadonlyMap<string, SavedContext>): void {
  if (!contexts.has(name)) throw usage(`there is no context ${name}${suggestion(name, contexts.keys())}`);
}

function usage(sentence: string): UsageError {
  return new UsageError(sentence, "context");
}
