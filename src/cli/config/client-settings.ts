/** The rows of the table of settings that name a server and the credential for it. */
import { jwt, path, text, url } from "./value-types.ts";

const calls = ["publish", "tail", "unread", "online", "disconnect"] as const;
const withContexts = [...calls, "context"] as const;
/** `tidings context add` stores its flags, and never values that happen to be in the environment. */
const flagOnlyFor = ["context"] as const;

/** The URL of a server on the same machine. */
export const defaultUrl = "http://127.0.0.1:7300";

/** The settings of commands that call a server. */
export const clientSettings = {
  context: {
    type: text,
    help: "Server to call: the name of a context of `tidings context add`. It is overridden by --url and by the token that the same command line, or the same environment, sets.",
    for: withContexts,
  },
  url: {
    type: url,
    help: `URL of the server, which \`context add\` requires. Default of other commands: that of the context, or ${defaultUrl}.`,
    for: withContexts,
    flagOnlyFor,
  },
  token: {
    type: jwt,
    help: "JWT of the caller. Flags are visible to other users of the machine: prefer the environment, a file or a command.",
    for: withContexts,
    flagOnlyFor,
  },
  tokenFile: {
    type: path,
    help: "File that holds the JWT of the caller. It is read again when the server refuses the token, as it does after its expiry.",
    for: withContexts,
    flagOnlyFor,
  },
  tokenCommand: {
    type: text,
    help: "Shell command that prints the JWT of the caller. It is run again when the server refuses the token.",
    for: withContexts,
    flagOnlyFor,
  },
  tokenEnv: {
    type: text,
    help: "Environment variable that will hold the JWT of the caller when the context is used.",
    for: ["context"],
    flagOnly: true,
  },
} as const;
