/** The code of README.md, run as it stands there. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mintToken } from "../../src/auth/mint-token.ts";
import { createTidings, type Tidings } from "../../src/server.ts";
import { Consumer } from "../support/consumer.ts";

const exec = promisify(execFile);
const root = join(import.meta.dirname, "../..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const secret = "a secret of at least thirty-two bytes";
const usualUrl = "http://127.0.0.1:7300";
let consumer: Consumer;
let tidings: Tidings;
let url: string;

beforeAll(async () => {
  consumer = new Consumer().link("@types/node");
  tidings = await createTidings({ data: ":memory:", auth: { secret } });
  ({ url } = await tidings.listen({ port: 0 }));
}, 60_000);
afterAll(async () => {
  await tidings.close();
  consumer.remove();
});

function token(sub: string, role: "user" | "service", rooms: string[] = []): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return mintToken(secret, { sub, tenant: "acme", role, rooms, exp: now + 600 }, now);
}

/** A block of code, by its language and name, with the address of the test's server. */
function block(info: string): string {
  const code = new RegExp(`^\`\`\`${info}\\n(.*?)^\`\`\``, "ms").exec(readme)?.[1];
  if (code === undefined) throw new Error(`README.md has no block \`\`\`${info}`);
  return code.replaceAll(usualUrl, url);
}

describe("README.md", () => {
  test("publishes, as shown", async () => {
    consumer.write(
      "publish.ts",
      `const serviceToken = process.env.TOKEN as string;\n${block("ts publish")}\nconsole.log(JSON.stringify(receipts.map((r) => r.userId + r.stored)));`,
    );
    await consumer.run("tsc", [
      "--noEmit",
      "--strict",
      "--skipLibCheck",
      "--target",
      "es2024",
      "--types",
      "node",
      "--module",
      "nodenext",
      "publish.ts",
    ]);
    expect(await consumer.run("node", ["publish.ts"], { TOKEN: await token("backend", "service") })).toBe(
      '["adatrue"]\n',
    );
  });

  test("receives, as shown", async () => {
    const before = `const fetchToken = () => process.env.TOKEN as string; const badges: number[] = [];
      const showBadge = (n: number) => badges.push(n); const showOnline = (_: number) => {}; const showToast = (_: string) => {};\n`;
    const after = `\nawait new Promise<void>((resolve) => tidings.state.subscribe((state) => state === "live" && resolve()));
      const { unread } = await tidings.listUnread({}); console.log(unread?.total, badges.at(-1)); tidings.close();`;
    consumer.write("receive.ts", before + block("ts receive") + after);
    expect(await consumer.run("node", ["receive.ts"], { TOKEN: await token("ada", "user") })).toBe("0 0\n");
  });

  test("meets in a room, as shown", async () => {
    const before = `const fetchToken = () => process.env.TOKEN as string; const shown: string[] = [];
      const showRoom = (...room: unknown[]) => shown.push(room.slice(0, 2).join(" ")); let line: (text: string) => void = () => {};
      const said = new Promise<string>((resolve) => (line = resolve)); const showLine = (who = "", text = "") => line(who + ": " + text);\n`;
    // Who speaks before the page is in the room finds it in no stream.
    const entered = `while (shown.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));\n`;
    const after = `\nconsole.log(await said, shown); tidings.close();`;
    consumer.write(
      "rooms.ts",
      before + block("ts rooms").replace("await tidings.publish", `${entered}await tidings.publish`) + after,
    );
    expect(await consumer.run("node", ["rooms.ts"], { TOKEN: await token("ada", "user", ["editor/*"]) })).toBe(
      "ada: Lunch? [ 'dm/ada/bob joined', 'editor/7 joined' ]\n",
    );
  });

  test("embeds, as shown", async () => {
    const before = `const secret = ${JSON.stringify(secret)};\n`;
    const after = `\nserver.listen(0, async () => {
      const { port } = server.address() as { port: number };
      const answer = await fetch("http://127.0.0.1:" + port + "/tidings.v1.PushService/ListUnread", { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
      console.log(answer.status); server.close(); await tidings.close();
    });`;
    consumer.write("embed.ts", before + block("ts embed").replace("./tidings-data", ":memory:") + after);
    expect(await consumer.run("node", ["embed.ts"])).toBe("401\n");
  });

  test("its curl line publishes", async () => {
    const [line] = /^curl .*?Publish$/ms.exec(readme.replaceAll(usualUrl, url)) ?? [];
    const answer = (
      await exec("bash", ["-c", `${line}`], { env: { ...process.env, TOKEN: await token("backend", "service") } })
    ).stdout;
    expect(JSON.parse(answer)).toMatchObject({ messageId: expect.any(String) });
  });

  test("its token line mints a token that the server takes", async () => {
    const [, args] = /^npm run --silent tidings -- (token .*)$/m.exec(readme) ?? [];
    const minted = (
      await exec(process.execPath, ["src/cli/main.ts", ...(args as string).split(" ")], {
        cwd: root,
        env: { ...process.env, TIDINGS_JWT_SECRET: secret },
      })
    ).stdout;
    const answer = await fetch(`${url}/tidings.v1.PushService/ListUnread`, {
      method: "POST",
      headers: { authorization: `Bearer ${minted.trim()}`, "content-type": "application/json" },
      body: "{}",
    });
    expect(answer.status).toBe(200);
  });

  test("links to files that are there", () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, path]) => path as string);
    expect(links.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});
