/** Tidings inside the server of another program, beside its own routes. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { type AddressInfo, connect } from "node:net";
import { expressConnectMiddleware } from "@connectrpc/connect-express";
import { fastifyConnectPlugin } from "@connectrpc/connect-fastify";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { fastify } from "fastify";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { PushService } from "../../gen/tidings/v1/push_service_pb.ts";
import { mintToken } from "../../src/auth/mint-token.ts";
import type { TidingsOptions } from "../../src/options.ts";
import { createTidings, type Tidings } from "../../src/server.ts";
import { secret } from "../support/token.ts";
import { Caller, errorOf, Stream } from "./interop/caller.ts";
import type { Driver } from "./interop/driver.ts";
import { fetchDriver } from "./interop/fetch.ts";
import { factsOf, note, toUser } from "./interop/scenario/people.ts";
import { encode, openBridge } from "./interop/ws.ts";

/** The server of another program, with Tidings in it. */
interface Host {
  readonly server: Server;
  close(): Promise<unknown>;
}

type Next = () => void;
/** The methods of Express that are used here; Express comes without types. */
interface Express extends RequestListener {
  use(handler: unknown): void;
  use(path: string, handler: (request: IncomingMessage, response: ServerResponse, next: Next) => void): void;
  get(path: string, handler: (request: IncomingMessage, response: { send(text: string): void }) => void): void;
}
const express = createRequire(import.meta.url)("express") as () => Express;

const page = "https://app.example.com";

async function listening(server: Server): Promise<Host> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, close: () => new Promise((resolve) => server.close(resolve)) };
}

/** Old programs call handleUpgrade themselves, and cut what it does not take. */
function upgradeByHand(server: Server, tidings: Tidings): void {
  server.on("upgrade", (request, socket, head) => tidings.handleUpgrade(request, socket, head) || socket.destroy());
}

/** Without an adapter of Connect. */
const ownHosts: [string, (tidings: Tidings) => Promise<Host>][] = [
  [
    "node:http, by handleRequest",
    (tidings) => {
      const server = createServer(
        (request, response) => void (tidings.handleRequest(request, response) || response.end("hello")),
      );
      tidings.attach(server);
      return listening(server);
    },
  ],
  [
    "Express, by handleRequest",
    (tidings) => {
      const app = express();
      app.use((request: IncomingMessage, response: ServerResponse, next: Next) => {
        if (!tidings.handleRequest(request, response)) next();
      });
      app.get("/own", (_request, response) => response.send("hello"));
      const server = createServer(app);
      tidings.attach(server);
      return listening(server);
    },
  ],
  [
    "Fastify, by handleRequest",
    async (tidings) => {
      const app = fastify();
      app.addHook("onRequest", async (request, reply) => {
        if (tidings.handleRequest(request.raw, reply.raw)) reply.hijack();
      });
      app.get("/own", () => "hello");
      tidings.attach(app.server);
      await app.listen({ host: "127.0.0.1", port: 0 });
      return { server: app.server, close: () => app.close() };
    },
  ],
];

const adapterHosts: [string, (tidings: Tidings) => Promise<Host>][] = [
  [
    "node:http",
    (tidings) => {
      const { routes } = tidings;
      const adapter = connectNodeAdapter({ routes, fallback: (_request, response) => void response.end("hello") });
      const server = createServer(adapter);
      upgradeByHand(server, tidings);
      return listening(server);
    },
  ],
  [
    "Express",
    (tidings) => {
      const app = express();
      app.use(expressConnectMiddleware({ routes: tidings.routes }));
      app.get("/own", (_request, response) => response.send("hello"));
      const server = createServer(app);
      tidings.attach(server);
      return listening(server);
    },
  ],
  [
    "Fastify",
    async (tidings) => {
      const app = fastify();
      await app.register(fastifyConnectPlugin, { routes: tidings.routes });
      tidings.attach(app.server);
      app.get("/own", () => "hello");
      await app.listen({ host: "127.0.0.1", port: 0 });
      return { server: app.server, close: () => app.close() };
    },
  ],
];

describe.each([...ownHosts, ...adapterHosts])("Inside %s, Tidings", (_name, start) => {
  const audience = toUser("ann");
  let tidings: Tidings;
  let host: Host;
  let url: string;
  let driver: Driver;
  let user: string;
  let service: string;

  beforeEach(async () => {
    tidings = await createTidings({ data: ":memory:", auth: { secret }, drainMs: 0, allowedOrigins: [page] });
    host = await start(tidings);
    url = `http://127.0.0.1:${(host.server.address() as AddressInfo).port}`;
    driver = fetchDriver(url, false);
    const exp = Math.floor(Date.now() / 1000) + 3600;
    user = await mintToken(secret, { sub: "ann", tenant: "acme", role: "user", exp });
    service = await mintToken(secret, { sub: "backend", tenant: "acme", role: "service", exp });
  });
  afterEach(async () => {
    await tidings.close();
    host.server.closeAllConnections();
    await host.close();
  });

  test("checks tokens and requests, and leaves other paths to the program", async ({ onTestFinished }) => {
    const as = (token?: string) => new Caller(driver, token, onTestFinished);
    const { publish, listUnread } = PushService.method;
    expect(factsOf(await errorOf(as().call(listUnread, {})))).toMatchObject({ reason: "TOKEN_MISSING" });
    const request = { audience, message: note("hi") };
    expect(factsOf(await errorOf(as(user).call(publish, request)))).toMatchObject({ reason: "AUDIENCE_FORBIDDEN" });
    const bad = await errorOf(as(service).call(publish, { message: note("hi") }));
    expect(factsOf(bad)).toMatchObject({ reason: "FIELD_INVALID", field: "audience" });
    await as(service).call(publish, request);
    expect((await as(user).call(listUnread, {})).unread?.total).toBe(1);
    expect(await (await fetch(`${url}/own`)).text()).toBe("hello");
  });

  test("streams, and sends go_away when it closes", async ({ onTestFinished }) => {
    const as = (token: string) => new Caller(driver, token, onTestFinished);
    const stream = await as(user).live();
    await as(service).call(PushService.method.publish, { audience, message: note("live") });
    expect(await stream.expect("message")).toMatchObject({ title: "live" });
    const closed = tidings.close();
    await stream.expect("goAway");
    expect(factsOf(await stream.end())).toMatchObject({ code: "unavailable", reason: "SERVER_DRAINING" });
    await closed;
  });

  test("lets pages of the allowed origins call, and no others", async () => {
    const listUnread = `${url}/tidings.v1.PushService/ListUnread`;
    const preflight = (origin: string) =>
      fetch(listUnread, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" },
      });
    const allowed = await preflight(page);
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get("access-control-allow-origin")).toBe(page);
    expect(allowed.headers.get("access-control-allow-headers")).toContain("Authorization");
    expect((await preflight("https://evil.example")).status).toBe(403);
    const headers = { "content-type": "application/json", authorization: `Bearer ${user}` };
    const call = async (origin: string) =>
      (await fetch(listUnread, { method: "POST", body: "{}", headers: { ...headers, origin } })).headers;
    expect((await call(page)).get("access-control-allow-origin")).toBe(page);
    expect((await call(url)).get("access-control-allow-origin"), "its own page").toBe(url);
    expect((await call("https://evil.example")).get("access-control-allow-origin")).toBeNull();
  });

  test("tells proxies neither to buffer nor to transform, and caches to keep nothing", async () => {
    const post = (method: string, type: string, body: Uint8Array<ArrayBuffer>) =>
      fetch(`${url}/tidings.v1.PushService/${method}`, {
        method: "POST",
        body,
        headers: { "content-type": type, authorization: `Bearer ${user}` },
      });
    const stream = await post("Subscribe", "application/connect+proto", new Uint8Array(5));
    expect(stream.headers.get("x-accel-buffering")).toBe("no");
    expect(stream.headers.get("cache-control")).toBe("private, no-store, no-transform");
    await stream.body?.cancel();
    const call = await post("ListUnread", "application/proto", new Uint8Array());
    expect(call.headers.get("cache-control")).toBe("private, no-store, no-transform");
  });

  test("answers probes, and says when it drains", async () => {
    for (const path of ["/livez", "/readyz"]) {
      const answer = await fetch(`${url}${path}`);
      expect([answer.status, await answer.text()]).toEqual([200, "ok\n"]);
    }
    const closed = tidings.close();
    const draining = await fetch(`${url}/readyz`);
    expect([draining.status, await draining.text()]).toEqual([503, "draining\n"]);
    await closed;
  });

  test("answers a request that offers h2c as a plain one", async () => {
    const body = JSON.stringify({
      audience: { userId: "ann" },
      message: { kind: "KIND_NOTIFICATION", title: "from Java" },
    });
    const answer = await talk(host, [
      "POST /tidings.v1.PushService/Publish HTTP/1.1",
      "Host: x",
      "Connection: Upgrade, HTTP2-Settings",
      "Upgrade: h2c",
      "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
      "Content-Type: application/json",
      `Authorization: Bearer ${service}`,
      `Content-Length: ${body.length}`,
      "",
      body,
    ]);
    expect(answer).toMatch(/^HTTP\/1\.1 200 [\s\S]*messageId/);
  });

  test("serves the WebSocket bridge on the upgrades of the server, and no other path", async ({ onTestFinished }) => {
    const { socket, events } = openBridge(url, "tidings.v1.json");
    const stream = new Stream(events);
    onTestFinished(() => stream.cancel());
    socket.on("open", () => socket.send(encode("tidings.v1.json", { token: user, subscribe: {} })));
    await stream.expect("hello");
    await stream.expect("caughtUp");
    const backend = new Caller(driver, service, onTestFinished);
    await backend.call(PushService.method.publish, { audience, message: note("live") });
    expect(await stream.expect("message")).toMatchObject({ title: "live" });

    const elsewhere = openBridge(`${url}/own?`, "tidings.v1.json");
    await expect(elsewhere.events.next()).rejects.toThrow(/socket hang up|Unexpected server response: (200|404)/);
  });

  test("serves the WebSocket bridge below a path, too", async ({ onTestFinished }) => {
    const { socket, events } = openBridge(`${url}/push`, "tidings.v1.json");
    const stream = new Stream(events);
    onTestFinished(() => stream.cancel());
    socket.on("open", () => socket.send(encode("tidings.v1.json", { token: user, subscribe: {} })));
    await stream.expect("hello");
  });
});

/** All but the program that attaches nothing. */
describe.each([...ownHosts, ...adapterHosts.filter(([name]) => name !== "node:http")])(
  "Inside %s, Tidings",
  (_name, start) => {
    test("refuses a request with two Authorization headers", async ({ onTestFinished }) => {
      const { host } = await setUp(start, onTestFinished);
      const answer = await talk(host, [
        "POST /tidings.v1.PushService/ListUnread HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        "Authorization: Bearer a",
        "Authorization: Bearer b",
        "Content-Length: 2",
        "",
        "{}",
      ]);
      expect(answer).toMatch(/^HTTP\/1\.1 401 [\s\S]*more than one Authorization header/);
    });
  },
);

describe.each(ownHosts)("Inside %s, Tidings", (_name, start) => {
  test("leaves the probes to the program with `probes: false`", async ({ onTestFinished }) => {
    const { url } = await setUp(start, onTestFinished, { probes: false });
    expect(await (await fetch(`${url}/livez`)).text()).not.toBe("ok\n");
  });

  test("leaves the other WebSockets of the server to its other listeners", async ({ onTestFinished }) => {
    const { host, url } = await setUp(start, onTestFinished);
    host.server.on("upgrade", (request, socket) => {
      if (request.url === "/chat/ws") socket.end("HTTP/1.1 418 mine\r\nConnection: close\r\n\r\n");
    });
    const chat = new WebSocket(`${url}/chat/ws`, ["chat.v1"]);
    const [error] = (await once(chat, "error")) as [Error];
    expect(error.message).toContain("418");
  });
});

async function setUp(
  start: (tidings: Tidings) => Promise<Host>,
  finished: (end: () => Promise<void>) => void,
  options: Partial<TidingsOptions> = {},
): Promise<{ host: Host; url: string }> {
  const tidings = await createTidings({ data: ":memory:", auth: { secret }, drainMs: 0, ...options });
  const host = await start(tidings);
  finished(async () => {
    await tidings.close();
    host.server.closeAllConnections();
    await host.close();
  });
  return { host, url: `http://127.0.0.1:${(host.server.address() as AddressInfo).port}` };
}

/** Sends a request as it is, and returns the answer up to the end of its first chunk or body. */
async function talk(host: Host, lines: readonly string[]): Promise<string> {
  const socket = connect((host.server.address() as AddressInfo).port, "127.0.0.1");
  socket.setEncoding("latin1").write(lines.join("\r\n"));
  let received = "";
  for await (const text of socket) {
    received += text;
    if (/\r\n\r\n[\s\S]*}/.test(received)) break;
  }
  return received;
}
