/**
 * The main path of the demo, in one process: a server, and a client that receives, lists and marks. Runs on the built
 * packages, since other runtimes than Node are for users, and prints `ok` at the end.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type * as Client from "../../src/client/index.ts";
import type * as Server from "../../src/index.ts";

const dist = new URL("../../dist/", import.meta.url);
const load = async <Module>(path: string) => (await import(new URL(path, dist).href)) as Module;
const { createTidings, mintToken } = await load<typeof Server>("tidings/lib/src/index.js");
const { connectTidings } = await load<typeof Client>("tidings-client/lib/src/client/index.js");

const secret = "k3yF0rTe5ts-0nly-q8Zr2Vw6Xn4Bm1Lc";
const data = mkdtempSync(join(tmpdir(), "tidings-runtime-"));
/** Ends a runtime in which something never happens. */
setTimeout(() => {
  console.error("not done after 60 s");
  process.exit(1);
}, 60_000).unref();

function expectEqual(name: string, actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`${name}: ${String(actual)} instead of ${String(expected)}`);
}

const exp = Math.floor(Date.now() / 1000) + 600;
const mint = (sub: string, role: "user" | "service") => mintToken(secret, { sub, tenant: "acme", role, exp });
const [ada, backend] = await Promise.all([mint("ada", "user"), mint("backend", "service")]);

async function publish(url: string, title: string): Promise<void> {
  const answer = await fetch(`${url}/tidings.v1.PushService/Publish`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${backend}` },
    body: JSON.stringify({ audience: { userId: "ada" }, message: { kind: "KIND_NOTIFICATION", title } }),
  });
  expectEqual("publish", answer.status, 200);
}

const start = () => createTidings({ data, auth: { secret }, drainMs: 0 });
const first = await start();
const { url } = await first.listen({ port: 0 });
for (const transport of ["ws", "connect"] as const) {
  const client = connectTidings({ url, token: () => ada, transport });
  const received = new Promise<string>((resolve) => client.on("message", ({ title }) => resolve(title)));
  await new Promise<void>((resolve) => client.state.subscribe((state) => state === "live" && resolve()));
  await publish(url, transport);
  expectEqual("received", await received, transport);
  expectEqual("unread", (await client.listUnread({})).unread?.total, 1);
  await client.markRead({ all: true });
  expectEqual("read", (await client.listUnread({})).unread?.total ?? 0, 0);
  client.close();
}
await publish(url, "kept");
await first.close();
// What was stored is there after a restart.
const second = await start();
const client = connectTidings({ url: (await second.listen({ port: 0 })).url, token: () => ada });
expectEqual("kept", (await client.listUnread({})).messages[0]?.title, "kept");
client.close();
await second.close();
rmSync(data, { recursive: true, force: true });
console.log("ok");
