import { describe, expect, test } from "vitest";
import { run, start } from "../harness.ts";

/** The command line of a program that runs this script of Node. */
const program = (script: string) => ["--", process.execPath, "-e", script];

/** A program that knows no command. */
const knowsNothing = `
  require("node:readline").createInterface({ input: process.stdin })
    .on("line", (line) => console.log(JSON.stringify({ type: "unsupported", command: JSON.parse(line).type })));`;

describe("tidings test-client", () => {
  test("lists its scenarios with the rules and groups", async () => {
    const { code, stdout } = await run(["test-client", "--list"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^silence +rule 3 +subscriber +A stream without any event .*\.$/m);
    const chosen = await run(["test-client", "--list", "--json", "--only", "publisher,silence"]);
    const listed = chosen.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { name: string; group: string; rule: number });
    expect(listed.filter(({ group }) => group !== "publisher")).toEqual([
      { name: "silence", group: "subscriber", rule: 3, sentence: expect.any(String) },
    ]);
  });

  test("refuses a command line without a program, and a scenario that does not exist", async () => {
    const without = await run(["test-client", "--only", "silence"]);
    expect(without.code).toBe(2);
    expect(without.stderr).toContain("name the program after --");
    const unknown = await run(["test-client", "--only", "silense", ...program("")]);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain("there is no scenario or group silense");
  });

  test("passes everything after -- to the program", async () => {
    const script = 'console.log(JSON.stringify({ type: "state", state: process.argv.slice(1).join() }))';
    const { code, stdout } = await run(["test-client", "--only", "lists", ...program(script), "--", "--json", "-x"]);
    expect(code).toBe(1);
    expect(stdout).toContain("the program printed the state --json,-x, which no client has");
  });

  test("says that a program does not exist", async () => {
    const { code, stdout } = await run(["test-client", "--only", "lists", "--", "./no-such-program"]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^FAILED lists \(rule 12\): the program did not start: spawn .*ENOENT$/m);
    expect(stdout).toContain("0 of 1 scenarios passed");
  });

  test("says that a program ended early, with what it wrote to stderr", async () => {
    const { code, stdout } = await run([
      "test-client",
      "--only",
      "lists",
      ...program('console.error("no such module"); process.exitCode = 3'),
    ]);
    expect(code).toBe(1);
    expect(stdout).toContain("the program ended with 3 before");
    expect(stdout).toContain("stderr: no such module");
  });

  test("says that a program prints something else than lines of the protocol", async () => {
    const { code, stdout } = await run(["test-client", "--only", "lists", ...program('console.log("hello")')]);
    expect(code).toBe(1);
    expect(stdout).toContain("the program printed a line that is no object of JSON with a type: hello");
  });

  test("fails for a scenario with an unsupported command, unless it is allowed", async () => {
    const { code, stdout } = await run(["test-client", "--only", "lists", ...program(knowsNothing)]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^n\/a {4}lists: the program does not support the command listUnread$/m);
    const allowed = ["--only", "lists,large-page", "--allow-unsupported", "lists,large-page", "--json"];
    const verdicts = await run(["test-client", ...allowed, ...program(knowsNothing)]);
    expect(verdicts.code).toBe(0);
    const [first = ""] = verdicts.stdout.split("\n");
    expect(JSON.parse(first)).toMatchObject({ name: "lists", rule: 12, status: "unsupported" });
  });

  test("kills a program that does not answer, and says what was expected", async () => {
    const argv = ["test-client", "--only", "lists", "--step-timeout", "1s", ...program("setInterval(() => {}, 1e6)")];
    const { code, stdout } = await run(argv);
    expect(code).toBe(1);
    expect(stdout).toContain("expected a request for page 1 of 6; it did not come within 1 s");
    expect(stdout).toContain("the rule: A list goes on until next_page_token is empty");
  });

  test.skipIf(process.platform === "win32")("kills what a program that has ended left behind", async () => {
    const leave = (detached: boolean, stdio: string) => `
      const options = { detached: ${detached}, stdio: ${stdio} };
      const left = require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"], options);
      console.log(JSON.stringify({ type: "left", pid: left.pid }));
      left.unref();`;
    const argv = (script: string) => ["test-client", "--only", "lists", "--step-timeout", "1s", ...program(script)];
    const { code, stdout } = await run(argv(leave(false, '"ignore"')));
    const pid = Number(/"pid":(\d+)/.exec(stdout)?.[1]);
    expect(code).toBe(1);
    await expect.poll(() => isRunning(pid), { timeout: 5_000 }).toBe(false);
    // One that has left the group holds the stdout of the program.
    const other = await run(argv(leave(true, '["ignore", "inherit", "inherit"]')));
    expect(other.code).toBe(1);
    process.kill(Number(/"pid":(\d+)/.exec(other.stdout)?.[1]), "SIGKILL");
  });

  test("ends early on a signal, with the exit code of a failure", async () => {
    const running = start(["test-client", "--only", "lists,silence", ...program("setInterval(() => {}, 1e6)")]);
    await expect.poll(() => running.signal(), { timeout: 10_000 }).toBe(true);
    expect(await running.code).toBe(1);
  });
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
