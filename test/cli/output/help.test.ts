import { describe, expect, test } from "vitest";
import { commands } from "../../../src/cli/all-commands.ts";
import { readArguments } from "../../../src/cli/config/arguments.ts";
import { commandNames, flagName, settingNames, settingOf } from "../../../src/cli/config/settings.ts";
import { run } from "../harness.ts";

describe("The help", () => {
  test("lists every command and shows an example of each", async () => {
    const { code, stdout, stderr } = await run(["--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const name of commandNames) expect(stdout).toMatch(new RegExp(`Examples:[^]*tidings ${name}`));
  });

  test.each(commandNames)("of %s shows an example and every option", async (name) => {
    const { code, stdout } = await run([name, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`Examples:\n(  .*\n)*  .*tidings ${name}`));
    for (const setting of settingNames) {
      expect
        .soft(new RegExp(`\\n {2}--${flagName(setting)}( <|\\n)`).test(stdout), setting)
        .toBe(settingOf(setting).for.includes(name));
    }
  });

  test.each(commands)("of $name has only examples that can be parsed", ({ examples, name }) => {
    for (const example of examples) {
      const [line = ""] = (example.split(/(?<![/\w])tidings /).at(-1) ?? "").split(/ [|>] /);
      const words = [...line.replace(/\)$/, "").matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
        ([, a, b, c]) => a ?? b ?? c ?? "",
      );
      expect(readArguments(words).command, example).toBe(name);
    }
  });

  test("is printed even when the configuration is wrong", async () => {
    expect((await run(["serve", "-h"], { TIDINGS_NONSENSE: "1" })).code).toBe(0);
  });
});

test("--version prints the version", async () => {
  expect(await run(["--version"])).toEqual({ code: 0, stdout: "1.2.3\n", stderr: "" });
});

test("A command line without a command is a usage error that lists the commands", async () => {
  const { code, stdout, stderr } = await run([]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain(
    "name a command: serve, dev, token, publish, tail, unread, online, disconnect, context, completion, test-client",
  );
});

test("A usage error points to the help of its command", async () => {
  const { code, stderr } = await run(["serve", "--prot", "1"]);
  expect(code).toBe(2);
  expect(stderr).toBe("error: unknown option --prot; did you mean --port?\nsee: tidings serve --help\n");
});
