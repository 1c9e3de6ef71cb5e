/** Where the HS256 secret comes from. */
import { isWeakSecret } from "../../options.ts";
import { readText } from "./files.ts";
import type { CommandName, Values } from "./settings.ts";
import { UsageError } from "./usage-error.ts";

/**
 * The configured secret, undefined if there is none. Throws a UsageError when it is given twice or is weak, an Error when
 * its file cannot be read.
 */
export function readSecret(values: Values, command: CommandName): string | undefined {
  const { jwtSecret, jwtSecretFile } = values;
  if (jwtSecret !== undefined && jwtSecretFile !== undefined) {
    throw new UsageError("--jwt-secret and --jwt-secret-file exclude each other; give one", command);
  }
  // Editors and `openssl … > file` end a file with a line break.
  const secret =
    jwtSecretFile === undefined ? jwtSecret : readText(jwtSecretFile, "--jwt-secret-file").replace(/\r?\n$/, "");
  if (secret !== undefined && isWeakSecret(secret)) {
    const what = jwtSecretFile === undefined ? "the JWT secret" : `the JWT secret in ${jwtSecretFile}`;
    throw new UsageError(
      `${what} is too weak; give 32 random bytes, such as from \`openssl rand -base64 32\``,
      command,
    );
  }
  return secret;
}
