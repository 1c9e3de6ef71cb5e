import { isWeakSecret } from "../../options.ts";
import { readText } from "./read-text.ts";
import type { CommandName, Values } from "./settings.ts";
import { UsageError } from "./usage-error.ts";

/**
 * The HS256 secret of --jwt-secret or --jwt-secret-file; undefined when neither is set. Throws a UsageError when both are
 * set or the secret is weak, and an Error when the file cannot be read.
 */
export function readJwtSecret(values: Values, command: CommandName): string | undefined {
  const { jwtSecret, jwtSecretFile } = values;
  if (jwtSecret !== undefined && jwtSecretFile !== undefined) {
    throw new UsageError("--jwt-secret and --jwt-secret-file exclude each other; set one of them", command);
  }
  // Editors and `openssl … > file` end a file with a line break.
  const secret =
    jwtSecretFile === undefined ? jwtSecret : readText(jwtSecretFile, "--jwt-secret-file").replace(/\r?\n$/, "");
  if (secret !== undefined && isWeakSecret(secret)) {
    const subject = jwtSecretFile === undefined ? "the JWT secret" : `the JWT secret in ${jwtSecretFile}`;
    throw new UsageError(
      `${subject} is too weak; use 32 random bytes, for example from \`openssl rand -base64 32\``,
      command,
    );
  }
  return secret;
}
