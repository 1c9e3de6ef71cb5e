/** Tidings inside the server of another program, beside its own routes. */
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { expressConnectMiddleware } from "@connectrpc/connect-express";
import { fastifyConnectPlugin } from "@connectrpc/connect-fastify";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { fastify } from "fastify";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PushService } from "../../gen/tidings/v1/push_service_pb.ts";
import { mintToken } from "../../src/auth/mint-token.ts";
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

/** The methods of Express that are used here; Express comes without types. */
interface Express extends RequestListener {
  use(handler: unknown): void;
  get(path: string, handler: (request: IncomingMessage, response: { send(text: string): void }) => void): void;
}
const express = createRequire(import.meta.url)("express") as () => Express;

async function listening(server: Server): Promise<Host> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, close: () => new Promise((resolve) => server.close(resolve)) };
}

const hosts: [string, (tidings: Tidings) => Promise<Host>][] = [
  [
    "node:http",
    ({ routes }) => {
      const adapter = connectNodeAdapter({ routes, fallback: (_request, response) => void response.end("hello") });
      return listening(createServer(adapter));
    },
  ],
  [
    "Express",
    ({ routes }) => {
      const app = express();
      app.use(expressConnectMiddleware({ routes }));
      app.get("/own", (_request, response) => response.send("hello"));
      return listening(createServer(app));
    },
  ],
  [
    "Fastify",
    async ({ routes }) => {
      const app = fastify();
      await app.register(fastifyConnectPlugin, { routes });
      app.get("/own", () => "hello");
      await app.listen({ host: "127.0.0.1", port: 0 });
      return { server: app.server, close: () => app.close() };
    },
  ],
];

describe.each(hosts)("Inside %s, Tidings", (_name, start) => {
  const audience = toUser("ann");
  let tidings: Tidings;
  let host: Host;
  let url: string;
  let driver: Driver;
  let user: string;
  let service: string;

  beforeEach(async () => {
    tidings = await createTidings({ data: ":memory:", auth: { secret }, drainMs: 0 });
    host = await start(tidings);
    host.server.on(
      "upgrade",
      (request, socket, head) => tidings.handleUpgrade(request, socket, head) || socket.destroy(),
    );
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

    const elsewhere = openBridge(`${url}/else`, "tidings.v1.json");
    await expect(elsewhere.events.next()).rejects.toThrow("socket hang up");
  });
});
