/** The secret of a development server: made once, so that tokens and pages survive a restart. */
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isWeakSecret } from "../../options.ts";
import { readText } from "../config/files.ts";

/** The secret's file in the data folder. */
export function devSecretPath(folder: string): string {
  return join(folder, "dev-secret");
}

/** The secret in the folder; made, for the owner's eyes only, if there is none. Throws when the file holds a weak one. */
export function devSecret(folder: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = devSecretPath(folder);
  try {
    writeFileSync(path, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const secret = readText(path, "--data").trim();
  if (isWeakSecret(secret)) throw new Error(`${path} holds no usable secret; remove it, and a new one is made`);
  return secret;
}
