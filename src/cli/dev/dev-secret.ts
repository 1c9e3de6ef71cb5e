/** The secret of a development server. It is kept in a file, so that tokens and open pages survive a restart. */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createFolder } from "../../util/create-folder.ts";
import { secretFault } from "../../util/secret-fault.ts";
import { readText } from "../config/read-text.ts";

/** The path of the secret's file in a data folder. */
export function devSecretPath(folder: string): string {
  return join(folder, "dev-secret");
}

/**
 * Reads the secret of a data folder, or creates the folder and a random secret that only the owner can read. Throws an
 * error when the file cannot be read or holds a weak secret.
 */
export function devSecret(folder: string): string {
  try {
    createFolder(folder, 0o700);
  } catch (error) {
    throw new Error(`data folder ${folder} cannot be created (${(error as Error).message})`, { cause: error });
  }
  const path = devSecretPath(folder);
  try {
    writeFileSync(path, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const secret = readText(path, "--data").trim();
  if (secretFault(secret) !== undefined) {
    throw new Error(`${path} holds a weak secret; remove the file to have a new one created`);
  }
  return secret;
}
