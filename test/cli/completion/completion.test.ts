import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { commandNames } from "../../../src/cli/config/settings.ts";
import { Folder, run } from "../harness.ts";

/** The words that complete the last of these. */
async function complete(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const { code, stdout, stderr } = await run(["completion", "words", "--", ...words], env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => line.split("\t")[0] ?? "");
}

describe("tidings completion words", () => {
  test("completes commands, with their summaries", async () => {
    expect(await complete([""])).toEqual([...commandNames]);
    expect(await complete(["p"])).toEqual(["publish"]);
    expect((await run(["completion", "words", "--", "tai"])).stdout).toBe(
      "tail\tPrint events as they arrive, until Ctrl-C.\n",
    );
    expect(await complete(["-"])).toEqual(["--config", "--help", "--version"]);
  });

  test("completes the options of the command, with a sentence of their help", async () => {
    expect(await complete(["publish", "--to-"])).toEqual([
      "--to-user",
      "--to-users",
      "--to-room",
      "--to-tenant",
      "--to-everyone",
    ]);
    expect(await complete(["online", "--to-"])).toEqual([]);
    expect(await complete(["tail", "--config", "x", "--re"])).toEqual(["--resume"]);
    expect((await run(["completion", "words", "--", "tail", "--match"])).stdout).toMatch(
      /^--match\tOnly messages that /,
    );
    expect(await complete(["serve", "--no-refl"]), "a switch that is on by default").toEqual(["--no-reflection"]);
    expect(await complete(["online", ""])).toContain("--users");
  });

  test("offers an option once, unless it may be repeated", async () => {
    expect(await complete(["tail", "--count", "3", "--room=a", "--json", "--"])).not.toContain("--count");
    expect(await complete(["tail", "--count", "3", "--room=a", "--json", "--"])).toContain("--room");
    expect(await complete(["tail", "--count", "3", "--room=a", "--json", "--"])).not.toContain("--json");
  });

  test("completes the values of an option, each in a list once", async () => {
    expect(await complete(["publish", "--kind", ""])).toEqual(["notification", "activity", "event"]);
    expect(await complete(["publish", "--kind=e"])).toEqual(["--kind=event"]);
    expect(await complete(["tail", "--kinds", "event,"])).toEqual(["event,notification", "event,activity"]);
    expect(await complete(["publish", "--title", ""])).toEqual([]);
  });

  test("asks the shell for files where an option takes a path", async () => {
    expect(await complete(["publish", "--file", "mess"])).toEqual([":files"]);
    expect(await complete(["publish", "--file=mess"])).toEqual([":files"]);
    expect(await complete(["serve", "--config", ""])).toEqual([":files"]);
    expect(await complete(["test-client", "--", "pro"])).toEqual([":files"]);
  });

  test("completes contexts, and the words of commands that take some", async () => {
    using home = new Folder();
    mkdirSync(join(home.path, ".config/tidings"), { recursive: true });
    const contexts = { dev: { url: "https://dev.example" }, prod: { url: "https://push.example" } };
    home.file(".config/tidings/contexts.json", JSON.stringify({ contexts }));
    const env = { HOME: home.path };
    expect(await complete(["tail", "--context", ""], env)).toEqual(["dev", "prod"]);
    expect(await complete(["context", "use", "p"], env)).toEqual(["prod"]);
    expect(await complete(["context", ""], env)).toEqual(["add", "use", "list", "remove"]);
    expect(await complete(["context", "add", "x", "--tok"], env)).toContain("--token-env");
    const hostile = { "$(id)": contexts.dev, "a b": contexts.dev, "x;y": contexts.dev, ...contexts };
    home.file(".config/tidings/contexts.json", JSON.stringify({ contexts: hostile }));
    expect(await complete(["tail", "--context", ""], env)).toEqual(["dev", "prod"]);
    home.file(".config/tidings/contexts.json", "{");
    expect(await complete(["tail", "--context", ""], env)).toEqual([]);
  });

  test("prints JSON under --json", async () => {
    const { stdout } = await run(["completion", "words", "--json", "--", "publish", "--kind", "n"]);
    expect(JSON.parse(stdout)).toEqual({ word: "notification", description: "" });
  });

  test("knows nothing about words that make no sense", async () => {
    expect(await complete(["nonsense", ""])).toEqual([]);
    expect(await complete(["tail", "--nonsense=a"])).toEqual([]);
    expect(await complete([])).toEqual([...commandNames]);
  });
});

describe("tidings completion", () => {
  test.each(["bash", "zsh", "fish"])("prints a script for %s", async (shell) => {
    const { code, stdout } = await run(["completion", shell]);
    expect(code).toBe(0);
    expect(stdout).toContain("completion words -- ");
    expect(JSON.parse((await run(["completion", shell, "--json"])).stdout).script).toBe(stdout.trimEnd());
  });

  test.each([
    [["completion"], "completion: name a shell: bash, zsh, fish"],
    [["completion", "fsih"], "completion fsih: must be bash, zsh, fish, words; did you mean fish?"],
  ])("refuses %j as a usage error", async (argv, sentence) => {
    const { code, stderr } = await run(argv);
    expect(code).toBe(2);
    expect(stderr).toContain(sentence);
  });
});
