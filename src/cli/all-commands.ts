import type { Command } from "./command.ts";
import { completion } from "./commands/completion.ts";
import { context } from "./commands/context.ts";
import { dev } from "./commands/dev.ts";
import { disconnect } from "./commands/disconnect.ts";
import { online } from "./commands/online.ts";
import { publish } from "./commands/publish.ts";
import { serve } from "./commands/serve.ts";
import { tail } from "./commands/tail.ts";
import { testClient } from "./commands/test-client.ts";
import { token } from "./commands/token.ts";
import { unread } from "./commands/unread.ts";

/** All commands, in the order in which the help lists them. */
export const commands: readonly Command[] = [
  serve,
  dev,
  token,
  publish,
  tail,
  unread,
  online,
  disconnect,
  context,
  completion,
  testClient,
];
