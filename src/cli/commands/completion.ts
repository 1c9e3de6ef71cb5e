import type { Command, Context } from "../command.ts";
import { candidatesFor } from "../completion/candidates.ts";
import { filesWord, type Shell, scripts, shells } from "../completion/scripts.ts";
import { UsageError } from "../config/usage-error.ts";

/** `tidings completion`: lets a shell complete command lines. */
export const completion: Command = {
  name: "completion",
  summary: "Print the script with which a shell completes command lines.",
  details:
    "The script completes commands, options, their values, contexts and files. It asks `tidings completion words`, which prints " +
    "one word on each line for the last of the words that follow --.",
  examples: [
    "tidings completion bash > ~/.local/share/bash-completion/completions/tidings",
    "source <(tidings completion zsh)",
    "tidings completion fish > ~/.config/fish/completions/tidings.fish",
  ],
  async run(context) {
    const [name] = context.operands;
    if (name === "words") return printWords(context);
    const shell = shells.find((each) => each === name);
    if (shell === undefined) throw new UsageError(`completion: name a shell: ${shells.join(", ")}`, "completion");
    printScript(context, shell);
    return 0;
  },
};

function printScript({ values, print }: Context, shell: Shell): void {
  if (values.json) print.json({ shell, script: scripts[shell] });
  else print.line(scripts[shell]);
}

async function printWords({ program, env, values, print, load }: Context): Promise<number> {
  // Only the names of commands have summaries, and these take as long to load as the commands.
  const commands = program.length === 1 ? await load(undefined) : [];
  const { words, files } = candidatesFor(
    program,
    env,
    (name) => commands.find((each) => each.name === name)?.summary ?? "",
  );
  for (const { word, description } of words) {
    if (values.json) print.json({ word, description });
    else print.line(`${word}\t${description}`);
  }
  if (files) print.line(values.json ? JSON.stringify({ files }) : `${filesWord}\t`);
  return 0;
}
