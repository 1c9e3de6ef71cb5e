/**
 * The Lua scripts of presence and of the rate limiter. Each is one atomic step of Redis, and is documented at the start of
 * its file in `lua/`, a folder beside this module in the sources and in the built package.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Cluster, Redis } from "ioredis";

/** A script, in the two forms that Redis accepts. */
export interface Script {
  /** The source, for EVAL. */
  readonly text: string;
  /** The digest of the source in hex, for EVALSHA. */
  readonly sha1: string;
}

function read(name: string): string {
  return readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), "utf8");
}

function scriptOf(...parts: readonly string[]): Script {
  const text = parts.join("\n");
  return { text, sha1: createHash("sha1").update(text).digest("hex") };
}

const prelude = read("prelude");

/** The scripts by name, read once when this module is loaded. */
export const scripts = {
  enter: scriptOf(prelude, read("enter")),
  renew: scriptOf(prelude, read("renew")),
  leave: scriptOf(prelude, read("leave")),
  count: scriptOf(prelude, read("count")),
  connections: scriptOf(prelude, read("connections")),
  tenants: scriptOf(read("tenants")),
  spend: scriptOf(read("spend")),
} satisfies Readonly<Record<string, Script>>;

/** Runs a script by its digest, and sends its text only when the server does not know it: once per start of a server. */
export async function runScript(
  redis: Redis | Cluster,
  { text, sha1 }: Script,
  keys: readonly string[],
  args: readonly string[],
): Promise<unknown> {
  try {
    return await redis.evalsha(sha1, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
    return redis.eval(text, keys.length, ...keys, ...args);
  }
}
