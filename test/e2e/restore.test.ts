/** Backup and restore as docs/operations.md describes them, with the commands of that document. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Kind, type Position } from "../../gen/tidings/v1/message_pb.ts";
import type { SubscribeResponse } from "../../gen/tidings/v1/push_service_pb.ts";
import { root } from "../support/run.ts";
import { newTenant, startServer, type TestServer } from "../support/server.ts";

const text = readFileSync(join(root, "docs/operations.md"), "utf8");
/** The command of the document that contains a word. */
function line(word: string): string {
  const [, found] = new RegExp(`\`\`\`sh\\n(node -e .*${word}.*)\\n\`\`\``).exec(text) ?? [];
  if (found === undefined) throw new Error(`docs/operations.md has no command with ${word}`);
  return found;
}

let folder: string;
let server: TestServer;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tidings-restore-"));
});
afterEach(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const run = (command: string) => execFileSync("sh", ["-c", command], { cwd: folder, stdio: "pipe" });
const tenant = newTenant();

async function start(): Promise<void> {
  server = await startServer({ data: join(folder, "tidings-data") });
}

async function publish(...titles: string[]): Promise<void> {
  const backend = server.client({ tenant, role: "service" });
  for (const title of titles) {
    const audience = { to: { case: "userId" as const, value: "ann" } };
    await backend.publish({ audience, message: { kind: Kind.NOTIFICATION, title }, requestId: title });
  }
}

/** The events of a stream from these positions up to CaughtUp. */
async function events(positions: Position[]): Promise<SubscribeResponse["event"][]> {
  const end = new AbortController();
  const seen: SubscribeResponse["event"][] = [];
  for await (const { event } of server.client({ tenant }).subscribe({ positions }, { signal: end.signal })) {
    seen.push(event);
    if (event.case === "caughtUp") break;
  }
  end.abort();
  return seen;
}

test("A restored backup has a new epoch, so that no client takes new messages for old ones", async () => {
  await start();
  await publish("one", "two");
  await server.stop();
  cpSync(join(folder, "tidings-data"), join(folder, "copy"), { recursive: true });
  run(line("VACUUM INTO"));

  await start();
  await publish("three", "four");
  const caughtUp = (await events([])).at(-1);
  const positions = caughtUp?.case === "caughtUp" ? caughtUp.value.positions : [];
  expect(positions.find(({ feed }) => feed === "user")?.seq).toBe("4");
  await server.stop();

  rmSync(join(folder, "tidings-data"), { recursive: true });
  mkdirSync(join(folder, "tidings-data"));
  renameSync(join(folder, "backup.db"), join(folder, "tidings-data/tidings.db"));
  run(line("UPDATE meta"));
  await start();
  await publish("five", "six", "seven");

  const after = await events(positions);
  const gaps = after.filter((event) => event.case === "gap").map(({ value }) => value.after?.feed);
  expect(gaps).toContain("user");
  const { messages } = await server.client({ tenant }).listUnread({});
  expect(messages.map(({ title }) => title)).toEqual(["seven", "six", "five", "two", "one"]);
  await publish("two", "three");
  const { unread } = await server.client({ tenant }).listUnread({});
  expect(unread?.total, "a repeated publish is not stored twice").toBe(6);
});
