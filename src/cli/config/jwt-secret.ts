import { secretFault } from "../../util/secret-fault.ts";
import { readText } from "./read-text.ts";
import type { CommandName, Values } from "./settings.ts";
import { UsageError } from "./usage-error.ts";
import { linesOf } from "./value-types.ts";

/**
 * The HS256 secrets of --jwt-secret or --jwt-secret-file, of which the first signs; undefined when neither is set. Throws a
 * UsageError when both are set, the file is empty, or a secret is weak or a placeholder, and an Error when the file cannot
 * be read.
 */
export function readJwtSecrets(values: Values, command: CommandName): readonly string[] | undefined {
  const { jwtSecret, jwtSecretFile } = values;
  if (jwtSecret !== undefined && jwtSecretFile !== undefined) {
    throw new UsageError("--jwt-secret and --jwt-secret-file exclude each other; set one of them", command);
  }
  const secrets = jwtSecretFile === undefined ? jwtSecret : linesOf(readText(jwtSecretFile, "--jwt-secret-file"));
  if (secrets === undefined) return undefined;
  const where = jwtSecretFile === undefined ? "" : ` in ${jwtSecretFile}`;
  if (secrets.length === 0) throw new UsageError(`there is no JWT secret${where}`, command);
  secrets.forEach((secret, index) => {
    const fault = secretFault(secret);
    if (fault === undefined) return;
    const subject = secrets.length === 1 ? "the JWT secret" : `JWT secret ${index + 1}`;
    throw new UsageError(`${subject}${where} is ${fault}`, command);
  });
  return secrets;
}
