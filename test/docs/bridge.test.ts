/** The examples of docs/bridge.md, sent to a server and compared with its events. */
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type Caller, newTenant, startServer, type TestServer } from "../support/server.ts";
import { mintToken } from "../support/token.ts";
import { blocksOf, readDocument } from "./blocks.ts";

const document = "docs/bridge.md";
const examples = new Map(
  blocksOf(document)
    .filter(({ language }) => language === "json")
    .map(({ place, code }) => [place.slice(document.length + 1), code]),
);

/** The JSON of an example, with values that differ from run to run replaced. */
function example(name: string): Record<string, unknown> {
  return JSON.parse(examples.get(name) ?? "null") as Record<string, unknown>;
}

/** Replaces ids, times, delays and versions, which differ from run to run, and the epochs of feeds but 1. */
function normal(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, inner) => {
    if (key === "epoch") return inner === 1 ? 1 : "epoch";
    if (key === "version") return typeof inner;
    return /^(id|subscriptionId|publishTime|reconnectAfter)$/.test(key) && /[-.]/.test(inner) ? typeof inner : inner;
  });
}

/** A socket, and the events that it has received. */
class Session {
  readonly socket: WebSocket;
  readonly events: Record<string, unknown>[] = [];
  readonly closed: Promise<string>;
  #notify = (): void => {};

  constructor(server: TestServer, ...frames: readonly (string | object)[]) {
    this.socket = new WebSocket(`${server.url.replace("http", "ws")}/ws`, ["tidings.v1.json"]);
    this.socket.on("open", () => {
      for (const frame of frames) this.send(frame);
    });
    this.socket.on("message", (data) => {
      this.events.push(JSON.parse(String(data)));
      this.#notify();
    });
    this.closed = once(this.socket, "close").then(([code, reason]) => `${code} ${reason}`);
  }

  send(frame: string | object): void {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  /** Waits for an event for which the test holds, and returns it. */
  async event(name: string, holds: (content: Record<string, unknown>) => boolean = () => true) {
    for (;;) {
      const found = this.events.find((event) => name in event && holds(event[name] as Record<string, unknown>));
      if (found) return found;
      await new Promise<void>((resolve) => {
        this.#notify = resolve;
      });
    }
  }
}

let server: TestServer;
let tenant: string;
beforeAll(async () => {
  server = await startServer({ drainMs: 50, allowedOrigins: ["https://app.example"] });
  tenant = newTenant();
});
afterAll(() => server.stop());

const tokenOf = (caller: Caller = {}) => server.token({ sub: "ada", tenant, rooms: ["editor/*"], ...caller });

async function assignTask(): Promise<void> {
  const { message } = example("message") as { message: Record<string, unknown> };
  const { kind, category, title, url, actor, object, json } = message;
  const response = await fetch(`${server.url}/tidings.v1.PushService/Publish`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${await tokenOf({ role: "service" })}` },
    body: JSON.stringify({ audience: { userId: "ada" }, message: { kind, category, title, url, actor, object, json } }),
  });
  expect(response.status).toBe(200);
}

test("docs/bridge.md has an example of each frame and each event", () => {
  const frames = ["first", "token", "read", "ping"];
  const events = ["hello", "room", "message", "gap", "caughtUp", "readState", "online", "heartbeat", "goAway"];
  expect([...examples.keys()]).toEqual([...frames, ...events]);
});

test("A session of docs/bridge.md goes as its examples say", async () => {
  await assignTask();
  const other = new Session(server, { token: await tokenOf(), subscribe: {} });
  const hello = await other.event("hello");
  const { positions } = (hello.hello ?? {}) as { positions: { feed: string; epoch: number }[] };
  const epoch = positions.find(({ feed }) => feed === "user")?.epoch;
  other.socket.close();
  await other.closed;

  const first = JSON.parse(JSON.stringify(example("first")), (key, value) =>
    key === "epoch" ? epoch : value,
  ) as Record<string, unknown>;
  const session = new Session(server, { ...first, token: await tokenOf() });
  const compare = async (name: string, holds?: (content: Record<string, unknown>) => boolean) =>
    expect(normal(await session.event(name, holds))).toEqual(normal(example(name)));
  await compare("hello");
  await session.event("room", ({ status }) => status === "STATUS_JOINED");
  await session.event("caughtUp");
  await assignTask();
  await compare("message");

  session.send({ ...example("token"), token: await tokenOf() });
  session.send(example("read"));
  await compare("readState", ({ all }) => all === true);
  session.send(example("ping"));
  await compare("heartbeat");

  const rival = new Session(server, {
    token: await tokenOf({ sub: "bob", takeover: ["editor/*"] }),
    subscribe: { rooms: [{ roomId: "editor/7", mode: "ROOM_MODE_LAST" }] },
  });
  await compare("room", ({ status }) => status === "STATUS_KICKED");
  await compare("online", ({ users }) => users === 2);
  expect(Object.keys(session.events[0] ?? {})).toEqual(["hello"]);

  const late = new Session(server, {
    token: await tokenOf(),
    subscribe: {
      positions: [(example("gap") as { gap: { after: object } }).gap.after],
      rooms: [{ roomId: "editor/7" }],
    },
  });
  expect(normal(await late.event("gap"))).toEqual(normal(example("gap")));
  expect(normal(await late.event("caughtUp"))).toEqual(normal(example("caughtUp")));
  for (const { socket, closed } of [session, rival, late]) {
    socket.close();
    await closed;
  }
});

test("A server that shuts down says goAway as in docs/bridge.md, and closes with 4014", async () => {
  const own = await startServer({ drainMs: 50 });
  const session = new Session(own, { token: await own.token({ tenant: newTenant() }), subscribe: {} });
  await session.event("caughtUp");
  await own.stop();
  expect(normal(session.events.at(-1))).toEqual(normal(example("goAway")));
  expect(await session.closed).toBe("4014 SERVER_DRAINING: the server is going away");
});

test("A stream that a limit keeps from opening gets goAway alone, and is closed with 4008", async () => {
  const own = await startServer({ limits: { newStreamsPerUser: { perSecond: 0.01, burst: 1 } } });
  const frame = { token: await own.token({ tenant: newTenant() }), subscribe: {} };
  const open = new Session(own, frame);
  await open.event("hello");
  const refused = new Session(own, frame);
  expect(await refused.closed).toMatch(/^4008 TOO_MANY_NEW_STREAMS: /);
  expect(refused.events).toMatchObject([{ goAway: { reason: "TOO_MANY_NEW_STREAMS" } }]);
  await own.stop();
});

/** An upgrade request, as HTTP/1.1 has it. */
const upgrade = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
  "sec-websocket-protocol": "tidings.v1.json",
};

describe("An upgrade is refused as docs/bridge.md says", () => {
  test.each([
    [400, "with a query", "/ws?token=x", {}],
    [400, "with several Authorization headers", "/ws", { authorization: ["Bearer a", "Bearer b"] }],
    [400, "without a known subprotocol", "/ws", { "sec-websocket-protocol": "graphql-ws" }],
    [403, "from an origin that is not allowed", "/ws", { origin: "https://evil.example" }],
  ])("with %i %s", async (status, _when, path, headers) => {
    const sent = request(`${server.url}${path}`, { headers: { ...upgrade, ...headers } as never }).end();
    const [response] = await once(sent, "response");
    expect(response.statusCode).toBe(status);
    response.resume();
  });
});

describe("A socket is closed as docs/bridge.md says", () => {
  const table = [...readDocument(document).matchAll(/^\| (\d{4}) \| (.*) \|$/gm)].map(([, code, when]) => ({
    code,
    when,
  }));

  test("for the close codes of the table alone", () => {
    expect(table.map(({ code }) => code)).toEqual(["4003", "4007", "4008", "4014", "4016", "1002", "1007", "1009"]);
  });

  const expired = () => mintToken({ claims: { sub: "ada", tenant, exp: Math.floor(Date.now() / 1000) - 60 } });
  const first = async (caller: Caller = {}) => ({ token: await tokenOf(caller), subscribe: {} });
  test.each([
    ["4003 BODY_INVALID", async () => ["[1]"]],
    ["4003 FIELD_INVALID", async () => [{ ...(await first()), subscribe: { kinds: [99] } }]],
    ["4003 FIELD_INVALID", async () => [await first(), { subscribe: {} }]],
    ["4003 POSITION_IN_FUTURE", async () => [await first()]],
    ["4007 ROLE_FORBIDDEN", async () => [await first({ role: "service" }), { markRead: { all: true } }]],
    ["4014 OVERLOADED", async () => [await first(), ...Array<object>(17).fill({ markRead: { all: true } })]],
    ["4016 TOKEN_MISSING", async () => [{ subscribe: {} }]],
    ["4016 TOKEN_INVALID", async () => [{ token: "x", subscribe: {} }]],
    ["4016 TOKEN_INVALID", async () => [await first(), { token: await tokenOf({ sub: "bob" }) }]],
    ["4016 TOKEN_EXPIRED", async () => [{ ...(await first()), token: await expired() }]],
  ] as const)("with %s", async (expected, frames) => {
    const sent: (string | object)[] = [...(await frames())];
    if (expected.endsWith("POSITION_IN_FUTURE")) {
      const probe = new Session(server, sent[0] as object);
      const { hello } = (await probe.event("hello")) as { hello: { positions: { feed: string }[] } };
      const ahead = hello.positions.filter(({ feed }) => feed === "user").map((each) => ({ ...each, seq: "1000" }));
      probe.socket.close();
      sent[0] = { ...(sent[0] as object), subscribe: { positions: ahead } };
    }
    expect(await new Session(server, ...sent).closed).toMatch(new RegExp(`^${expected}: `));
    const [code, reason = ""] = expected.split(" ");
    expect(table.find((row) => row.code === code)?.when).toContain(`\`${reason}\``);
  });

  test.each([
    [1002, "a frame without a mask", [0x81, 0x02, 0x7b, 0x7d]],
    // Masked with zeros, so that the bytes stay as they are.
    [1007, "text that is not UTF-8", [0x81, 0x82, 0, 0, 0, 0, 0xff, 0xff]],
    [1009, "a frame over 64 KiB", [0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1]],
  ])("with %i after %s", async (code, _what, bytes) => {
    const socket = connect(server.port, "127.0.0.1");
    const lines = Object.entries({ host: server.host, ...upgrade }).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`GET /ws HTTP/1.1\r\n${lines.join("")}\r\n`);
    await once(socket, "data");
    socket.write(Buffer.from(bytes));
    const [frame] = (await once(socket, "data")) as [Buffer];
    // A close frame: the code after two bytes.
    expect(frame[0]).toBe(0x88);
    expect(frame.readUInt16BE(2)).toBe(code);
    socket.destroy();
  });
});
