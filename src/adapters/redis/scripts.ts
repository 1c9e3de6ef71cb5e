/**
 * The Lua scripts of presence. Each is one atomic step of Redis, and is documented at the start of its file in `lua/`,
 * a folder beside this module in the sources and in the built package.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

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
} satisfies Readonly<Record<string, Script>>;
