import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { contextsPath } from "../../../src/cli/config/contexts.ts";
import { replaceFile } from "../../../src/cli/config/replace-file.ts";
import { fail } from "../../../src/errors.ts";
import { type FakeService, serveFake } from "../fake-service.ts";
import { Folder, run, start } from "../harness.ts";

/** A home directory, and the file of contexts in it. */
class Home extends Folder {
  readonly env = { HOME: this.path };
  readonly contexts = join(this.path, ".config/tidings/contexts.json");

  /** Runs a command line with this home. */
  run(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
    return run(argv, { ...this.env, ...env });
  }

  /** Writes the file of contexts. */
  write(content: string, mode = 0o600): void {
    mkdirSync(join(this.path, ".config/tidings"), { recursive: true });
    writeFileSync(this.contexts, content);
    chmodSync(this.contexts, mode);
  }
}

/** A service that counts users, for a call of `tidings online`. */
function counting(): Promise<FakeService> {
  return serveFake({ onlineCount: () => ({ users: 1, connections: 1 }) });
}

describe("tidings context", () => {
  test("adds, lists, selects and removes contexts", async () => {
    using home = new Home();
    const added = await home.run(["context", "add", "dev", "--url", "http://127.0.0.1:7300", "--token", "a.b.c"]);
    expect(added).toEqual({
      code: 0,
      stdout: "added dev\n",
      stderr: "to call it without --context: tidings context use dev\n",
    });
    await home.run([
      "context",
      "add",
      "production",
      "--url",
      "https://push.example",
      "--token-command",
      "print secret",
    ]);
    expect((await home.run(["context", "use", "production"])).stdout).toBe("using production\n");
    const list = await home.run(["context", "list"]);
    expect(list.stdout.split("\n")).toEqual([
      "  dev         http://127.0.0.1:7300  token in this file",
      "* production  https://push.example  token of a command",
      "",
    ]);
    const json = (await home.run(["context", "list", "--json"], { TIDINGS_CONTEXT: "dev" })).stdout.trim().split("\n");
    expect(json.map((line) => JSON.parse(line))).toEqual([
      { name: "dev", url: "http://127.0.0.1:7300", current: true, token: "token" },
      { name: "production", url: "https://push.example", current: false, token: "tokenCommand" },
    ]);
    expect((await home.run(["context", "remove", "production"])).stdout).toBe("removed production\n");
    expect(JSON.parse(readFileSync(home.contexts, "utf8"))).toEqual({
      current: "",
      contexts: { dev: { url: "http://127.0.0.1:7300", token: "a.b.c" } },
    });
  });

  test("keeps its file from other users, and leaves no draft of it", async () => {
    using home = new Home();
    await home.run(["context", "add", "dev", "--url", "http://127.0.0.1:7300", "--token", "a.b.c"]);
    expect(statSync(home.contexts).mode & 0o777).toBe(0o600);
    expect(statSync(join(home.path, ".config/tidings")).mode & 0o777).toBe(0o700);
    expect(existsSync(`${home.contexts}.${process.pid}.new`)).toBe(false);
  });

  test("does not replace what is no regular file", () => {
    using home = new Home();
    mkdirSync(join(home.path, ".config/tidings"), { recursive: true });
    symlinkSync("/dev/null", home.contexts);
    expect(() => replaceFile(home.contexts, "{}")).toThrow(`cannot write ${home.contexts}: it is not a regular file`);
    expect(statSync("/dev/null").isCharacterDevice()).toBe(true);
  });

  test("writes through a link, as managers of dotfiles make them", async () => {
    using home = new Home();
    mkdirSync(join(home.path, ".config/tidings"), { recursive: true });
    const target = home.file("dotfile.json", '{"contexts":{}}');
    symlinkSync(target, home.contexts);
    await home.run(["context", "add", "dev", "--url", "http://127.0.0.1:7300"]);
    expect(readFileSync(target, "utf8")).toContain("dev");
    expect(readFileSync(home.contexts, "utf8")).toContain("dev");
  });

  test("stores nothing of the environment, and the path of a token file as an absolute one", async () => {
    using home = new Home();
    const env = { TIDINGS_TOKEN: "e.n.v", TIDINGS_URL: "https://env.example" };
    const { code, stderr } = await home.run(["context", "add", "dev"], env);
    expect([code, stderr.split("\n")[0]]).toEqual([2, "error: context add: --url is required"]);
    await home.run(["context", "add", "dev", "--url", "https://push.example", "--token-file", "token.jwt"], env);
    expect(JSON.parse(readFileSync(home.contexts, "utf8")).contexts).toEqual({
      dev: { url: "https://push.example", tokenFile: join(process.cwd(), "token.jwt") },
    });
  });

  test.each([
    [["context"], "context: add, use or remove a context, or list all"],
    [["context", "list", "dev"], "context: add, use or remove a context, or list all"],
    [["context", "lsit"], "context lsit: must be add, use, list, remove; did you mean list?"],
    [["context", "use"], "context use: name a context"],
    [["context", "use", "prodd"], "there is no context prodd; did you mean prod?"],
    [["context", "remove", "x"], "there is no context x"],
    [["context", "add", "prod", "--url", "https://a.example"], "there is a context prod already; remove it first"],
    [["context", "add", "a b", "--url", "https://a.example"], "context add: a name has 1 to 64 letters"],
    [
      ["context", "add", "dev", "--url", "https://a.example", "--token", "a", "--token-env", "B"],
      "--token and --token-env exclude each other; set one of them",
    ],
    [["context", "use", "prod", "more"], "unexpected argument more"],
  ])("refuses %j as a usage error", async (argv, sentence) => {
    using home = new Home();
    home.write('{"current":"","contexts":{"prod":{"url":"https://push.example"}}}');
    const { code, stderr } = await home.run(argv);
    expect(code).toBe(2);
    expect(stderr).toContain(sentence);
  });

  test.each([
    ["{", "not valid JSON; correct or remove it"],
    ["[]", "must have `current`, the name of a context, and the object `contexts`"],
    ['{"current":7,"contexts":{}}', "must have `current`"],
    ['{"contexts":{"a":7}}', "contexts.a must be an object"],
    ['{"contexts":{"a":{}}}', "contexts.a.url is missing"],
    ['{"contexts":{"a":{"url":"ftp://x"}}}', "contexts.a.url must be an http or https URL"],
    [
      '{"contexts":{"a":{"url":"https://x","tokenComand":"x"}}}',
      "unknown key contexts.a.tokenComand; did you mean tokenCommand?",
    ],
    [
      '{"contexts":{"a":{"url":"https://x","token":"a","tokenEnv":"B"}}}',
      "contexts.a must not have both token and tokenEnv",
    ],
  ])("names the file whose content is %s", async (content, sentence) => {
    using home = new Home();
    home.write(content);
    const { code, stderr } = await home.run(["context", "list"]);
    expect(code).toBe(2);
    expect(stderr).toContain(`error: ${home.contexts}: ${sentence}`);
  });

  test("refuses a file that holds a token and that others may read", async () => {
    using home = new Home();
    home.write('{"contexts":{"a":{"url":"https://x","token":"a.b.c"}}}', 0o640);
    const { code, stderr } = await home.run(["context", "list"]);
    expect([code, stderr.split("\n")[0]]).toEqual([
      2,
      `error: ${home.contexts}: holds a token, and other users may read it; run chmod 600 ${home.contexts}`,
    ]);
    home.write('{"contexts":{"a":{"url":"https://x","tokenEnv":"A"}}}', 0o644);
    expect((await home.run(["context", "list"])).code).toBe(0);
  });

  test("needs a home directory", async () => {
    expect(await run(["context", "list"])).toEqual({ code: 0, stdout: "", stderr: "" });
    const { code, stderr } = await run(["context", "add", "a", "--url", "https://x"]);
    expect([code, stderr]).toEqual([1, "error: there is no folder for contexts: set HOME or XDG_CONFIG_HOME\n"]);
  });

  test.each([
    [{ XDG_CONFIG_HOME: "/xdg", HOME: "/home/ada" }, "linux", "/xdg/tidings/contexts.json"],
    [{ XDG_CONFIG_HOME: "relative", HOME: "/home/ada" }, "linux", "/home/ada/.config/tidings/contexts.json"],
    [{ APPDATA: "/roaming", HOME: "/home/ada" }, "win32", "/roaming/tidings/contexts.json"],
    [{ APPDATA: "/roaming", HOME: "/home/ada" }, "darwin", "/home/ada/.config/tidings/contexts.json"],
    [{}, "linux", undefined],
  ] as const)("finds its file by %j on %s", (env, platform, path) => {
    expect(contextsPath(env, platform)).toBe(path);
  });
});

describe("A command that calls a server", () => {
  test("uses the context of --context, else of TIDINGS_CONTEXT, else the current one", async () => {
    await using a = await counting();
    await using b = await counting();
    await using c = await counting();
    using home = new Home();
    const contexts = {
      a: { url: a.url, token: "of.a" },
      b: { url: b.url, tokenEnv: "TOKEN_OF_B" },
      c: { url: c.url, tokenFile: home.file("token", "of.c\n") },
    };
    home.write(JSON.stringify({ current: "a", contexts }));
    const env = { TOKEN_OF_B: "of.b" };
    expect((await home.run(["online"], env)).code).toBe(0);
    expect((await home.run(["online"], { ...env, TIDINGS_CONTEXT: "b" })).code).toBe(0);
    expect((await home.run(["online", "--context", "c"], { ...env, TIDINGS_CONTEXT: "b" })).code).toBe(0);
    const own = await home.run(["online", "--context", "b", "--token", "f.l.ag"]);
    expect(own.code, "a variable that is not needed need not be set").toBe(0);
    expect([a.tokens, b.tokens, c.tokens]).toEqual([
      ["Bearer of.a"],
      ["Bearer of.b", "Bearer f.l.ag"],
      ["Bearer of.c"],
    ]);
  });

  test("sends a token of the environment to the current context, and not to that of --context", async () => {
    await using a = await counting();
    await using b = await counting();
    using home = new Home();
    const contexts = { a: { url: a.url, token: "of.a" }, b: { url: b.url, token: "of.b" } };
    home.write(JSON.stringify({ current: "a", contexts }));
    const env = { TIDINGS_TOKEN: "e.n.v" };
    await home.run(["online"], env);
    await home.run(["online", "--context", "b"], { ...env, TIDINGS_URL: a.url });
    await home.run(["online", "--context", "b", "--token", "f.l.ag"], env);
    expect(a.tokens).toEqual(["Bearer e.n.v"]);
    expect(b.tokens).toEqual(["Bearer of.b", "Bearer f.l.ag"]);
  });

  test.each([
    ["--url", []],
    ["TIDINGS_URL", ["environment"]],
  ] as const)("never sends the token of a context to %s of another origin", async (where, inEnvironment) => {
    await using a = await counting();
    await using b = await counting();
    using home = new Home();
    home.write(JSON.stringify({ current: "a", contexts: { a: { url: a.url, token: "of.a" } } }));
    const call = (url: string, ...argv: string[]) =>
      inEnvironment.length > 0
        ? home.run(["online", ...argv], { TIDINGS_URL: url })
        : home.run(["online", "--url", url, ...argv]);
    const { code, stderr } = await call(b.url);
    expect([code, stderr.split("\n")[0]]).toEqual([
      2,
      `error: the token of the context a is for ${a.url} and is not sent to ${where}; name a token for that server`,
    ]);
    await call(b.url, "--token", "f.l.ag");
    await call(`${a.url}/`);
    expect([a.tokens, b.tokens]).toEqual([["Bearer of.a"], ["Bearer f.l.ag"]]);
  });

  test("does not read the file of contexts when the command line names a URL and a token", async () => {
    await using a = await counting();
    using home = new Home();
    home.write("{");
    expect((await home.run(["online", "--url", a.url, "--token", "a.b.c"])).code).toBe(0);
    expect((await home.run(["online", "--url", a.url])).code).toBe(2);
  });

  test.each([
    [["--context", "prdo"], {}, "--context: there is no context prdo; did you mean prod?"],
    [[], { TIDINGS_CONTEXT: "x" }, "TIDINGS_CONTEXT: there is no context x"],
    [[], {}, "the current context gone does not exist; run tidings context use"],
    [["--context", "prod"], {}, "the context prod takes its token from PROD, which is not set"],
    [
      ["--context", "open", "--token", "a", "--token-file", "b"],
      {},
      "--token and --token-file exclude each other; set one of them",
    ],
  ])("refuses %j with the environment %j", async (argv, env, sentence) => {
    using home = new Home();
    const contexts = { prod: { url: "https://x", tokenEnv: "PROD" }, open: { url: "https://x" } };
    home.write(JSON.stringify({ current: "gone", contexts }));
    const { code, stderr } = await home.run(["online", ...argv], env as Record<string, string>);
    expect(code).toBe(2);
    expect(stderr).toContain(sentence);
  });
});

describe("A token that can change", () => {
  /** A service that accepts one token. */
  function accepting(token: string): Promise<FakeService> {
    return serveFake({
      onlineCount(_, { requestHeader }) {
        if (requestHeader.get("authorization") !== `Bearer ${token}`) throw fail("TOKEN_EXPIRED", "get a fresh one");
        return { users: 1 };
      },
    });
  }

  test("is asked of its command again when the server refuses it", async () => {
    await using service = await accepting("t.2");
    const commands: string[] = [];
    const runShell = async (command: string) => `t.${commands.push(command)}\r\n`;
    const argv = ["online", "--url", service.url, "--token-command", "fetch it"];
    expect(await run(argv, {}, { runShell })).toMatchObject({ code: 0, stderr: "" });
    expect(commands).toEqual(["fetch it", "fetch it"]);
  });

  test("is asked of a command that cannot take the lines to publish from stdin", async () => {
    const given: string[] = [];
    const runShell = async (_command: string, stdin: string) => `t.${given.push(stdin)}`;
    await using service = await serveFake({ publishBatch: () => ({ outcomes: [] }), publish: () => ({}) });
    const argv = ["publish", "--url", service.url, "--token-command", "x", "--to-user", "ada"];
    await run([...argv, "--title", "Hi"], {}, { runShell });
    const lines = (async function* () {
      yield Buffer.from('{"title":"Hi"}\n');
    })();
    await start([...argv, "--file", "-"], {}, { runShell }, false, lines).code;
    expect(given).toEqual(["inherit", "ignore"]);
  });

  test("is asked for once more only", async () => {
    await using service = await accepting("never");
    const { code, stderr } = await run(
      ["online", "--url", service.url, "--token-command", "x"],
      {},
      {
        runShell: async () => "a.b.c",
      },
    );
    expect([code, stderr]).toEqual([1, "error: unauthenticated TOKEN_EXPIRED: get a fresh one\n"]);
    expect(service.tokens).toHaveLength(2);
  });

  test.each([
    [["--token-file", "/nowhere/token"], "error: --token-file: cannot read /nowhere/token: no such file\n"],
    [["--token-command", "x"], "error: --token-command: the command failed with exit code 3\n"],
  ])("that cannot be read fails the command with the reason: %j", async (argv, sentence) => {
    const runShell = () => Promise.reject(new Error("the command failed with exit code 3"));
    for (const name of ["online", "tail"]) {
      expect(await run([name, ...argv], {}, { runShell })).toEqual({ code: 1, stdout: "", stderr: sentence });
    }
  });

  test("is not quoted when it is no token", async () => {
    using folder = new Folder();
    const path = folder.file("token", "secret text\n");
    const { stderr } = await run(["online", "--token-file", path]);
    expect(stderr).toBe(`error: --token-file: ${path}: must hold a JWT without blanks, and nothing else\n`);
  });
});
