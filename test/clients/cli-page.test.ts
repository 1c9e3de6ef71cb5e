/** docs/cli.md, followed command by command, by the program in processes of its own. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mintToken, type TokenClaims } from "../../src/auth/mint-token.ts";
import { createTidings, type Tidings } from "../../src/server.ts";
import { blocksOf, commandsOf } from "../docs/blocks.ts";
import { describeWith } from "../support/require.ts";
import { root } from "../support/run.ts";
import { findTool, pathOf } from "../support/tools.ts";

const bash = findTool("bash", "apt-get install bash");
const jq = findTool("jq", "apt-get install jq");
const secret = "a secret of at least thirty-two bytes";
const page = "docs/cli.md";

const folder = mkdtempSync(join(tmpdir(), "tidings-cli-page-"));
let tidings: Tidings;
let url: string;
/** The variables of the reader's shell; DEV_TOKEN is a token of a service. */
const env: Record<string, string> = {};

async function mint(claims: Omit<TokenClaims, "exp">): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return mintToken(secret, { ...claims, exp: now + 600 }, now);
}

beforeAll(async () => {
  tidings = await createTidings({ data: ":memory:", auth: { secret } });
  ({ url } = await tidings.listen({ port: 0 }));
  mkdirSync(join(folder, "bin"));
  const program = `#!/bin/sh\nexec "${process.execPath}" "${join(root, "src/cli/main.ts")}" "$@"\n`;
  writeFileSync(join(folder, "bin/tidings"), program);
  chmodSync(join(folder, "bin/tidings"), 0o755);
  Object.assign(env, {
    PATH: `${join(folder, "bin")}${delimiter}${process.env.PATH}`,
    HOME: folder,
    DEV_TOKEN: await mint({ sub: "backend", tenant: "acme", role: "service" }),
  });
});

afterAll(async () => {
  await tidings.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Starts a script in the shell of the reader. */
function start(script: string, more: Readonly<Record<string, string>> = {}) {
  const child = spawn(pathOf(bash), ["-ec", "-o", "pipefail", script.replaceAll("http://127.0.0.1:7300", url)], {
    cwd: folder,
    env: { ...env, ...more },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const exit = once(child, "close");
  return {
    lines,
    /** The lines that are left, after the script has succeeded. */
    async rest(): Promise<string[]> {
      const left: string[] = [];
      for (let next = await lines.next(); !next.done; next = await lines.next()) left.push(next.value);
      expect((await exit)[0], script).toBe(0);
      return left;
    },
  };
}

/** The block that contains a text. */
function blockWith(text: string): string {
  const block = blocksOf(page).find(({ language, code }) => language === "sh" && code.includes(text));
  if (block === undefined) throw new Error(`${page} has no block with ${text}`);
  return block.code;
}

/** The command that starts with a text; one that would go on for ever ends after its first message. */
function commandWith(text: string): string {
  const command = commandsOf(page).find((each) => each.startsWith(text));
  if (command === undefined) throw new Error(`${page} has no command ${text}`);
  const [, tail = "", more = ""] = /^(.*?)( [|>].*)?$/s.exec(command) ?? [];
  return tail.startsWith("tidings tail") && !tail.includes("--count")
    ? `${tail} --count 1 --timeout 60s${more}`
    : command;
}

describeWith(bash, jq)("The page docs/cli.md", () => {
  test("has only commands that this test runs", () => {
    const followed = [/^tidings context (add|use|list)/, /^cat > messages\.jsonl/, /^[{}]/, /^END$/, /^printf /];
    const tails = ["--kinds", "--since", "--from-start", "--resume", "--events"].map((flag) => `tidings tail ${flag}`);
    const publish = ["tidings publish --file messages.jsonl"];
    const unknown = commandsOf(page).filter(
      (command) =>
        !followed.some((known) => known.test(command)) &&
        ![...tails, ...publish].some((known) => command.startsWith(known)),
    );
    expect(unknown).toEqual([]);
  });

  test("leads from naming a server to publishing and reading messages", async () => {
    expect(await start(blockWith("context add dev")).rest()).toEqual([
      "added dev",
      "added prod",
      "using dev",
      `* dev   ${url}  token of DEV_TOKEN`,
      "  prod  https://push.example.com  token of a command",
    ]);
    expect(await start(blockWith("messages.jsonl")).rest()).toEqual([expect.stringMatching(/^published 2\b/)]);
    expect(await start(commandWith("tidings publish --file")).rest()).toEqual([
      expect.stringMatching(/^published 0, published before 2\b/),
    ]);
    expect(await start(commandWith("printf")).rest()).toEqual([expect.stringMatching(/^published 2\b/)]);

    const ada = { TIDINGS_TOKEN: await mint({ sub: "ada", tenant: "acme", role: "user", rooms: ["team/*"] }) };
    const bob = { TIDINGS_TOKEN: await mint({ sub: "bob", tenant: "acme", role: "user" }) };
    const since = await start(commandWith("tidings tail --since"), bob).rest();
    expect(since).toEqual([expect.stringMatching(/ {2}Your invoice/)]);
    // Nothing orders the messages of two feeds.
    const stored = await start(commandWith("tidings tail --from-start"), ada).rest();
    expect(stored).toEqual([expect.stringMatching(/^(The report is ready|Bob has joined)$/)]);

    const resume = commandWith("tidings tail --resume").replace("--only", "--kinds notification --only");
    await start(resume, bob).rest();
    await start(resume, bob).rest();
    const log = readFileSync(join(folder, "messages.log"), "utf8").trim().split("\n");
    expect(log.map((line) => JSON.parse(line).message.title)).toEqual(["Your invoice", "Your refund"]);

    const build = start(commandWith("tidings tail --events"), ada);
    expect(JSON.parse((await build.lines.next()).value ?? "")).toHaveProperty("hello");
    await start("tidings publish --to-user ada --kind event --event build.done --title Built").rest();
    expect((await build.rest()).map((line) => JSON.parse(line)).at(-1)).toMatchObject({ message: { title: "Built" } });

    const reports = start(commandWith("tidings tail --kinds"), ada);
    expect((await reports.lines.next()).value).toMatch(/^connected as /);
    await start("tidings publish --to-room team/7 --category reports --title Sales").rest();
    expect((await reports.rest()).at(-1)).toMatch(/in team\/7 {2}\[reports\] {2}Sales/);
  });
});
