import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectTidings, type TidingsOptions } from "../../../src/client/index.ts";
import { FakeServer } from "../fake-server.ts";
import { caughtUp, hello, until } from "../server-events.ts";

let server: FakeServer;
const open: { close(): void }[] = [];

beforeEach(async () => {
  server = await FakeServer.start();
});

afterEach(async () => {
  for (const client of open.splice(0)) client.close();
  await server.close();
});

const random = { fraction: () => 0 };

function base() {
  return { url: server.url, token: () => "token-1", random };
}

function keep<T extends { close(): void }>(client: T): T {
  open.push(client);
  return client;
}

describe("The transport auto", () => {
  const auto = (options: Partial<TidingsOptions> = {}) => keep(connectTidings({ ...base(), ...options }));

  test("uses the bridge", async () => {
    auto();
    expect(await server.stream()).toMatchObject({ way: "ws", subprotocol: "tidings.v1.proto" });
  });

  test("uses Connect where upgrades are refused, and stays with it", async () => {
    server.upgrades = "refused";
    const client = auto();
    const first = await server.stream();
    expect(first.way).toBe("connect");
    first.send(hello(0), caughtUp);
    await until(client.state, (state) => state === "live");
    server.upgrades = "accepted";
    server.cut();
    expect((await server.stream()).way).toBe("connect");
  });

  test("uses Connect where there is no WebSocket", async () => {
    const global = globalThis.WebSocket;
    Reflect.deleteProperty(globalThis, "WebSocket");
    try {
      auto();
      expect(() => connectTidings({ ...base(), transport: "ws" })).toThrow(
        "transport: this environment has no WebSocket",
      );
    } finally {
      globalThis.WebSocket = global;
    }
    expect((await server.stream()).way).toBe("connect");
  });
});
