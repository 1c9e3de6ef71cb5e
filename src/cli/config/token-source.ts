/** Where the commands that call a server get their token from. */
import type { TokenSource } from "../../client/connection/tokens.ts";
import type { Dependencies } from "../command.ts";
import { readText } from "./read-text.ts";
import type { CommandName, Values } from "./settings.ts";
import { UsageError } from "./usage-error.ts";
import { jwt } from "./value-types.ts";

/** The token of a command line. */
export interface Credential {
  /** Returns the token; where it can change, reads it anew at each call. */
  readonly get: TokenSource;
  /** Another call may return another token. */
  readonly canChange: boolean;
}

/** A token cannot be read. */
export class TokenError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "TokenError";
  }
}

/** The credential of --token, --token-file or --token-command. Throws a UsageError when none is set. */
export function credentialOf(values: Values, command: CommandName, deps: Pick<Dependencies, "runShell">): Credential {
  const { token, tokenFile, tokenCommand, file } = values;
  if (token !== undefined) return { get: () => token, canChange: false };
  if (tokenFile !== undefined) {
    return { get: () => readToken(contentOf(tokenFile), `--token-file: ${tokenFile}`), canChange: true };
  }
  if (tokenCommand !== undefined) {
    // A command that reads its stdin, as ssh does, would take lines that are to be published.
    const stdin = file === "-" ? "ignore" : "inherit";
    return {
      get: async () => readToken(await outputOf(tokenCommand, stdin, deps), "--token-command"),
      canChange: true,
    };
  }
  const sentence = `${command} needs a token: set TIDINGS_TOKEN, --token-file, --token-command or a context`;
  throw new UsageError(`${sentence}; \`tidings token\` makes one`, command);
}

function contentOf(path: string): string {
  try {
    return readText(path, "--token-file");
  } catch (cause) {
    throw new TokenError((cause as Error).message, cause);
  }
}

async function outputOf(
  command: string,
  stdin: "inherit" | "ignore",
  { runShell }: Pick<Dependencies, "runShell">,
): Promise<string> {
  try {
    return await runShell(command, stdin);
  } catch (cause) {
    throw new TokenError(`--token-command: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
}

/** The messages do not quote the text, which may be most of a token. */
function readToken(text: string, where: string): string {
  const token = jwt.read(text.trim());
  if (token === undefined) throw new TokenError(`${where}: must hold ${jwt.allowed}, and nothing else`);
  return token;
}
