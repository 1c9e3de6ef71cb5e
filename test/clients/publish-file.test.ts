/** `tidings publish --file` in a process that is killed, and run again. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { mintToken } from "../../src/auth/mint-token.ts";
import { createTidings } from "../../src/server.ts";
import { root } from "../support/run.ts";

const secret = "a secret of at least thirty-two bytes";
const count = 4_000;

async function serve() {
  const tidings = await createTidings({ data: ":memory:", auth: { secret } });
  onTestFinished(() => tidings.close());
  const { url } = await tidings.listen({ port: 0 });
  const now = Math.floor(Date.now() / 1000);
  const mint = (sub: string, role: "user" | "service") =>
    mintToken(secret, { sub, tenant: "acme", role, exp: now + 600 }, now);
  return { url, service: await mint("backend", "service"), ada: await mint("ada", "user") };
}

function makeFile(): string {
  const folder = mkdtempSync(join(tmpdir(), "tidings-publish-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "messages.jsonl");
  writeFileSync(path, Array.from({ length: count }, (_, i) => `{"title":"${i}"}\n`).join(""));
  return path;
}

/** Starts the program, which sees no other environment. */
function start(argv: readonly string[], env: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, [join(root, "src/cli/main.ts"), ...argv], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  return { child, lines: createInterface({ input: child.stdout }), exit: once(child, "close") };
}

test("A publish from a file that is killed again and again, and then run to its end, publishes each line once and in order", async () => {
  const { url, service, ada } = await serve();
  const argv = ["publish", "--file", makeFile(), "--to-user", "ada", "--json"];
  const env = { TIDINGS_URL: url, TIDINGS_TOKEN: service };
  for (const wanted of [100, 1_500, 3_000]) {
    const { child, lines, exit } = start([...argv, "--rate", "2000"], env);
    for await (const line of lines) if ((JSON.parse(line) as { line: number }).line >= wanted) break;
    child.kill("SIGKILL");
    expect((await exit)[1]).toBe("SIGKILL");
  }
  const last = start(argv, env);
  let duplicates = 0;
  for await (const line of last.lines) if ((JSON.parse(line) as { duplicate: boolean }).duplicate) duplicates++;
  expect((await last.exit)[0]).toBe(0);
  expect(duplicates).toBeGreaterThanOrEqual(3_000);
  expect(duplicates).toBeLessThan(count);
  const tail = start(["tail", "--from-start", "--only-messages", "--json", "--count", `${count}`, "--timeout", "60s"], {
    TIDINGS_URL: url,
    TIDINGS_TOKEN: ada,
  });
  const titles: number[] = [];
  for await (const line of tail.lines) titles.push(Number(JSON.parse(line).message.title));
  expect((await tail.exit)[0]).toBe(0);
  expect(titles).toEqual(Array.from({ length: count }, (_, i) => i));
  const [unread] = (await once(
    start(["unread", "--limit", "1", "--json"], { TIDINGS_URL: url, TIDINGS_TOKEN: ada }).lines,
    "line",
  )) as string[];
  expect(JSON.parse(unread ?? "").unread.total).toBe(count);
});

test("A reader that closes the pipe ends tail as a success, and publish as a failure", async () => {
  const { url, service, ada } = await serve();
  const file = makeFile();
  const publish = start(["publish", "--file", file, "--to-user", "ada", "--json", "--rate", "2000"], {
    TIDINGS_URL: url,
    TIDINGS_TOKEN: service,
  });
  await once(publish.lines, "line");
  publish.child.stdout.destroy();
  expect((await publish.exit)[0]).toBe(1);
  const tail = start(["tail", "--from-start"], { TIDINGS_URL: url, TIDINGS_TOKEN: ada });
  await once(tail.lines, "line");
  tail.child.stdout.destroy();
  await start(["publish", "--to-user", "ada", "--title", "one more"], { TIDINGS_URL: url, TIDINGS_TOKEN: service })
    .exit;
  expect((await tail.exit)[0]).toBe(0);
});
