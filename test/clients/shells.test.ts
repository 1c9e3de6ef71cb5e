/** The completion scripts of `tidings completion`, evaluated by real shells. */
import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWith } from "../support/require.ts";
import { root } from "../support/run.ts";
import { findTool, pathOf } from "../support/tools.ts";

const bash = findTool("bash", "apt-get install bash");
const zsh = findTool("zsh", "apt-get install zsh");
const fish = findTool("fish", "apt-get install fish");

/** A folder with the program `tidings`, a context, and files to complete. */
const folder = mkdtempSync(join(tmpdir(), "tidings-shells-"));

beforeAll(() => {
  mkdirSync(join(folder, "bin"));
  mkdirSync(join(folder, "config/tidings"), { recursive: true });
  const program = `#!/bin/sh\nexec "${process.execPath}" "${join(root, "src/cli/main.ts")}" "$@"\n`;
  writeFileSync(join(folder, "bin/tidings"), program);
  chmodSync(join(folder, "bin/tidings"), 0o755);
  const contexts = { contexts: { dev: { url: "http://127.0.0.1:7300" }, prod: { url: "https://push.example" } } };
  writeFileSync(join(folder, "config/tidings/contexts.json"), JSON.stringify(contexts));
  writeFileSync(join(folder, "my messages.jsonl"), "");
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a script of the shell, and returns its lines of output. */
async function run(shell: string, args: readonly string[], script: string): Promise<string[]> {
  const env = {
    PATH: `${join(folder, "bin")}${delimiter}${process.env.PATH}`,
    HOME: folder,
    XDG_CONFIG_HOME: join(folder, "config"),
    TERM: "dumb",
  };
  const { stdout } = await promisify(execFile)(shell, [...args, script], { cwd: folder, env });
  return stdout.split("\n").filter((line) => line !== "");
}

describeWith(bash)("In bash, the script", () => {
  /** What bash offers for the last of the words, which are split as its readline does. */
  const complete = (...words: readonly string[]) => {
    const quoted = words.map((word) => `'${word}'`).join(" ");
    const script = `eval "$(tidings completion bash)"; COMP_WORDS=(tidings ${quoted}); COMP_CWORD=${words.length}
      $(complete -p tidings | sed 's/.*-F \\([^ ]*\\).*/\\1/') tidings; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return run(pathOf(bash), ["--norc", "--noprofile", "-c"], script);
  };

  test("completes commands, options, values and contexts", async () => {
    expect(await complete("disc")).toEqual(["disconnect"]);
    expect(await complete("tail", "--onl")).toEqual(["--only-messages"]);
    expect(await complete("publish", "--kind", "=", "e")).toEqual(["event"]);
    expect(await complete("publish", "--kind", "=")).toEqual(["notification", "activity", "event"]);
    expect(await complete("tail", "--room", "team", ":", "first", "--context", "p")).toEqual(["prod"]);
  });

  test("completes files with blanks in their names", async () => {
    expect(await complete("publish", "--file", "my")).toEqual(["my messages.jsonl"]);
    expect(await complete("publish", "--file", "=", "my")).toEqual(["my messages.jsonl"]);
  });
});

describeWith(fish)("In fish, the script", () => {
  const complete = (line: string) =>
    run(pathOf(fish), ["--no-config", "-c"], `tidings completion fish | source; complete -C '${line}'`);

  test("completes commands, options, values, contexts and files", async () => {
    expect(await complete("tidings disc")).toEqual([expect.stringMatching(/^disconnect\tEnd the streams of a user/)]);
    expect(await complete("tidings tail --onl")).toEqual([
      expect.stringMatching(/^--only-messages\tPrint messages only/),
    ]);
    expect(await complete("tidings publish --kind=e")).toEqual(["--kind=event"]);
    expect(await complete("tidings tail --context p")).toEqual(["prod\thttps://push.example"]);
    expect(await complete("tidings publish --file my")).toEqual([expect.stringMatching(/^my messages\.jsonl/)]);
  });
});

describeWith(zsh)("In zsh, the script", () => {
  /** The command line after a press of Tab in an interactive shell, on a terminal that the module zpty provides. */
  const complete = async (line: string) => {
    const script = `
      zmodload zsh/zpty
      zpty shell zsh -f -i
      zpty -w shell 'PS1=""; stty -echo 2>/dev/null; autoload -Uz compinit; compinit -u -D; eval "$(tidings completion zsh)"'
      zpty -w shell 'report() { print -r -- "<<$BUFFER>>"; zle kill-buffer }; zle -N report; bindkey "^X" report; print ready'
      zpty -r shell text $'*\\nready*'
      zpty -w -n shell ${JSON.stringify(line)}$'\\t\\C-x'
      zpty -r shell text '*<<*>>*'
      print -r -- "\${\${text#*<<}%%>>*}"
      zpty -d shell`;
    return run(pathOf(zsh), ["-f", "-c"], script);
  };

  test("completes commands, options, values, contexts and files", async () => {
    expect(await complete("tidings disc")).toEqual(["tidings disconnect "]);
    expect(await complete("tidings tail --onl")).toEqual(["tidings tail --only-messages "]);
    expect(await complete("tidings publish --kind=e")).toEqual(["tidings publish --kind=event "]);
    expect(await complete("tidings tail --context p")).toEqual(["tidings tail --context prod "]);
    expect(await complete("tidings publish --file my")).toEqual(["tidings publish --file my\\ messages.jsonl "]);
  });
});
