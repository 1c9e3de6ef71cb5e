/**
 * Every block of TypeScript in the documents: the short form checks it against the sources, the whole form checks and runs
 * it in a project that has installed the packages.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mintToken } from "../../src/auth/mint-token.ts";
import { createTidings, type Tidings } from "../../src/server.ts";
import { Consumer, packagesWhole } from "../support/consumer.ts";
import { root } from "../support/run.ts";
import { blocksOf, documents } from "./blocks.ts";

const secret = "a secret of at least thirty-two bytes";
const usualUrl = "http://127.0.0.1:7300";

/** The code around a block, and what the whole prints. */
interface Story {
  /** Defines the names that the block uses. */
  readonly before?: string;
  /** Code to insert before a line of the block that starts like this, to wait for what a reader would wait for. */
  readonly within?: readonly [line: string, code: string];
  /** Prints what the block has done, and closes what it opened. */
  readonly after?: string;
  /** Default: `node`. */
  readonly program?: "vitest";
  /** Flags of that program. Default: none. */
  readonly flags?: readonly string[];
  readonly output: string | RegExp;
}

const token = `const fetchToken = () => process.env.ADA as string;`;
const receive: Story = {
  before: `${token} const badges: number[] = []; const showBadge = (n: number) => badges.push(n);
    const showOnline = (_: number) => {}; const showToast = (_: string) => {};`,
  after: `await new Promise<void>((resolve) => tidings.state.subscribe((state) => state === "live" && resolve()));
    const { unread } = await tidings.listUnread({}); console.log(unread?.total, badges.at(-1)); tidings.close();`,
  output: "0 0\n",
};

const embedded: Story = {
  before: `const secret = ${JSON.stringify(secret)};`,
  output: "401 200 hello 101\n",
};

/** Calls an embedded server: a method, a probe, its own page, and the bridge. */
function tryEmbedded(page: string): string {
  return `
    if (!server.listening) await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { port: number };
    const base = "http://127.0.0.1:" + port;
    const answer = await fetch(base + "/tidings.v1.PushService/ListUnread", { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
    const ready = await fetch(base + "/readyz");
    const own = await (await fetch(base + "${page}")).text();
    const status = await new Promise((resolve) => {
      const socket = new WebSocket(base.replace("http", "ws") + "/ws", ["tidings.v1.json"]);
      socket.onopen = () => { resolve(101); socket.close(); };
      socket.onerror = () => resolve("no bridge");
    });
    console.log(answer.status, ready.status, own, status);
    await tidings.close(); server.closeAllConnections();`;
}

const stories: Readonly<Record<string, Story>> = {
  "README.md publish": {
    before: `const serviceToken = process.env.SERVICE as string;`,
    after: `console.log(JSON.stringify(receipts.map((r) => r.userId + r.stored)));`,
    output: '["adatrue"]\n',
  },
  "README.md receive": receive,
  "src/client/README.md receive": receive,
  "README.md rooms": {
    // Bob is in the room before Ada takes it over.
    before: `${token}
      const bob = connectTidings({ url: "${usualUrl}", token: () => process.env.BOB as string, subscribe: { rooms: [{ roomId: "editor/7" }] } });
      const bobs: string[] = [];
      const bobIs = (wanted: string) => new Promise<void>((resolve) => bob.on("room", ({ status }) => { if (status === wanted) resolve(); }));
      bob.on("room", ({ roomId, status }) => bobs.push(roomId + " " + status));
      const bobKicked = bobIs("kicked");
      await bobIs("joined");
      const shown: string[] = []; let entered = () => {};
      const both = new Promise<void>((resolve) => { entered = () => { if (shown.length === 2) resolve(); }; });
      const showRoom = (...room: unknown[]) => { shown.push(room.slice(0, 2).join(" ")); entered(); };
      let line: (text: string) => void = () => {}; const said = new Promise<string>((resolve) => { line = resolve; });
      const showLine = (who = "", text = "") => line(who + ": " + text);`,
    within: ["await tidings.publish(", "await both;"],
    after: `console.log(await said); await bobKicked; console.log(shown.join(", ")); console.log("bob:", bobs.join(", "));
      const list = async (client: typeof bob) => (await client.onlineCount({ roomId: "editor/7" })).users;
      console.log(await list(tidings)); bob.close(); tidings.close();`,
    output: "ada: Lunch?\ndm/ada/bob joined, editor/7 joined\nbob: editor/7 joined, editor/7 kicked\n1\n",
  },
  "README.md token": {
    before: `const secret = ${JSON.stringify(secret)};`,
    after: `console.log(JSON.stringify(JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()).rooms));`,
    output: '["team/*"]\n',
  },
  "README.md embed": {
    ...embedded,
    after: `server.listen(0, "127.0.0.1"); ${tryEmbedded("/")} server.close();`,
  },
  "README.md express": {
    ...embedded,
    after: `server.listen(0, "127.0.0.1"); ${tryEmbedded("/hello")} server.close();`,
  },
  "README.md fastify": {
    ...embedded,
    after: `const server = app.server; await app.listen({ port: 0 }); ${tryEmbedded("/hello")} await app.close();`,
  },
  "docs/adapters.md ports": {
    before: `const secret = ${JSON.stringify(secret)};`,
    after: `const { url } = await tidings.listen({ port: 0 });
      const publish = (kind: string) => fetch(url + "/tidings.v1.PushService/Publish", {
        method: "POST", headers: { authorization: "Bearer " + process.env.SERVICE, "content-type": "application/json" },
        body: JSON.stringify({ audience: { userId: "ada" }, message: { kind, title: "Hello" } }),
      });
      console.log((await publish("KIND_NOTIFICATION")).status, (await publish("KIND_EVENT")).status, bus.sent);
      await tidings.close();`,
    output: "200 200 2\n",
  },
  "docs/bridge.md session": {
    before: `const token = process.env.ADA as string;`,
    after: `socket.addEventListener("message", ({ data }) => { if (data.startsWith('{"caughtUp"')) socket.close(); });`,
    output: /^hello \{.*\ncaughtUp \{.*\nclosed 1005 \n$/s,
  },
  "docs/errors.md read": {
    before: `import { createClient } from "@connectrpc/connect";
      import { createConnectTransport } from "@connectrpc/connect-node";
      import { PushService } from "tidings-client/gen";
      const push = createClient(PushService, createConnectTransport({ baseUrl: "${usualUrl}", httpVersion: "1.1" }));
      const token = process.env.ADA as string;
      const request = { audience: { to: { case: "userId" as const, value: "" } } };
      const showProblem = console.log; const tryAgainAfter = console.log; const log = console.log;`,
    output: "audience.user_id audience.user_id: must not be empty\n",
  },
  // All suites are registered and some of their tests run; test/package.test.ts runs all of them.
  "docs/adapters.md suite": {
    program: "vitest",
    flags: ["--testNamePattern", "^My (bus|rate limiter|presence .*(room|join)|store: (append|a key|read) )"],
    output: /Tests .*\d{2} passed.*\(\d{3}\)/,
  },
};

const blocks = documents.flatMap(blocksOf).filter(({ language }) => /^(ts|typescript|js|javascript)$/.test(language));
/** Commands for mongosh, which are JavaScript in no project. */
const mongosh = /^db\./;
/** Blocks that other tests run, in a browser or with packages of their own. */
const runElsewhere: Readonly<Record<string, string>> = {
  "docs/streams.md event_source": "test/clients/event-source.test.ts",
  "docs/streams.md library": "test/clients/durable-streams.test.ts",
};
const checked = blocks.filter(({ place, code }) => !mongosh.test(code) && !(place in runElsewhere));
const fileOf = (place: string) => `${place.replace(/\W+/g, "-")}${stories[place]?.program ? ".test" : ""}.ts`;

let consumer: Consumer;
let tidings: Tidings;
let env: Record<string, string>;

beforeAll(async () => {
  const tools = ["@types/node", "vitest", "fast-check", "express", "@types/express", "fastify"];
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { dependencies: object };
  consumer = packagesWhole
    ? new Consumer().link(...tools)
    : new Consumer({ packages: [] }).link(...tools, ...Object.keys(dependencies));
  tidings = await createTidings({ data: ":memory:", auth: { secret } });
  const { url } = await tidings.listen({ port: 0 });
  const now = Math.floor(Date.now() / 1000);
  const mint = (sub: string, role: "user" | "service") =>
    mintToken(secret, { sub, tenant: "acme", role, rooms: ["editor/*"], takeover: ["editor/*"], exp: now + 600 }, now);
  env = { ADA: await mint("ada", "user"), BOB: await mint("bob", "user"), SERVICE: await mint("backend", "service") };
  for (const { place, code } of checked) {
    const { before = "", within: [line, pause] = [], after = "" } = stories[place] ?? {};
    const paused = line === undefined ? code : code.replace(line, `${pause}\n${line}`);
    const program = `${before}\n${paused}\n${after}\n`;
    // Of http and ws URLs.
    consumer.write(fileOf(place), program.replaceAll(usualUrl.slice("http:".length), url.slice("http:".length)));
  }
}, 180_000);
afterAll(async () => {
  await tidings?.close();
  consumer?.remove();
});

describe("The TypeScript of the documents", () => {
  test("has a story here for each of its blocks", () => {
    expect(checked.map(({ place }) => place)).toEqual(expect.arrayContaining(Object.keys(stories)));
    expect(checked.map(({ place }) => place).filter((place) => stories[place] === undefined)).toEqual([]);
    for (const { place, code } of checked) expect(code).toContain(stories[place]?.within?.[0] ?? "");
    for (const [place, file] of Object.entries(runElsewhere)) {
      const [document, name] = place.split(" ");
      const text = readFileSync(join(root, file), "utf8");
      for (const word of [document, name]) expect(text, file).toContain(word);
    }
  });

  test.skipIf(packagesWhole)("type-checks strictly against the sources", { timeout: 180_000 }, async () => {
    const config = { extends: join(root, "tsconfig.json"), include: ["*.ts"] };
    consumer.write("tsconfig.json", JSON.stringify(config));
    await consumer.run("tsc", ["--project", "."]);
  });

  if (!packagesWhole) {
    console.log("skipped: the code of the documents against the packages (npm run test:package)");
    return;
  }

  test.each(["nodenext", "bundler"] as const)("type-checks strictly under %s resolution", async (resolution) => {
    const files = checked.map(({ place }) => fileOf(place));
    await consumer.check(resolution, files, "--types", "node", "--skipLibCheck");
  });

  test.each(checked.map(({ place }) => place))("in %s does what it says", { timeout: 180_000 }, async (place) => {
    const { program, flags = [], output } = stories[place] as Story;
    const args = [...(program === "vitest" ? ["run"] : []), ...flags, fileOf(place)];
    const printed = await consumer.run(program ?? "node", args, { ...env, NO_COLOR: "1" });
    if (typeof output === "string") expect(printed).toBe(output);
    else expect(printed).toMatch(output);
  });
});
