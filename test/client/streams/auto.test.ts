import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectTidings, type TidingsClient, type TidingsOptions } from "../../../src/client/index.ts";
import { connectTidings as connectJson } from "../../../src/client/json.ts";
import { fail } from "../../../src/errors.ts";
import { FakeServer } from "../fake-server.ts";
import { caughtUp, hello, message, until } from "../server-events.ts";

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

type Auto = (
  options?: Partial<Pick<TidingsOptions, "token">>,
) => Pick<TidingsClient, "state" | "unread" | "close" | "join"> & { on: TidingsClient["on"] };
const clients: Record<string, Auto> = {
  proto: (options) => keep(connectTidings({ ...base(), ...options })),
  json: (options) => keep(connectJson({ ...base(), ...options })) as unknown as ReturnType<Auto>,
};

describe.each(Object.entries(clients))("The transport auto of the %s client", (codec, auto) => {
  test("uses the bridge", async () => {
    auto();
    expect(await server.stream()).toMatchObject({ way: "ws", subprotocol: `tidings.v1.${codec}` });
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

  test("receives every kind of event over Connect, and resumes at its positions", async () => {
    server.upgrades = "refused";
    const client = auto();
    client.join("r");
    const titles: string[] = [];
    client.on("message", ({ title = "" }) => void titles.push(title));
    const rooms: string[] = [];
    client.on("room", ({ roomId, status }) => void rooms.push(`${roomId} ${status}`));
    const first = await server.stream();
    expect(first.request.rooms).toMatchObject([{ roomId: "r" }]);
    first.send(hello(3), message(1), { case: "room", value: { roomId: "r", status: 1 } }, caughtUp, message(2));
    await until(client.unread, (totals) => totals?.total === 4);
    first.end(fail("TOKEN_EXPIRED", "it has expired"));
    const second = await server.stream();
    expect(second.request.positions).toMatchObject([{ feed: "user", epoch: 1, seq: "2" }]);
    second.send(hello(4), message(3), caughtUp);
    await until(client.state, (state) => state === "live");
    expect([titles, rooms]).toEqual([["title 1", "title 2", "title 3"], ["r joined"]]);
    client.close();
    await second.gone;
  });

  test("closes with the reason of a server that refuses the subscription over Connect", async () => {
    server.upgrades = "refused";
    const client = auto();
    const reasons: unknown[] = [];
    client.on("error", ({ reason }) => void reasons.push(reason));
    (await server.stream()).end(fail("FIELD_INVALID", "too many", { field: "categories" }));
    await until(client.state, (state) => state === "closed");
    expect(reasons).toEqual(["FIELD_INVALID"]);
  });

  test("waits as long as the server asks over Connect", async () => {
    server.upgrades = "refused";
    const client = auto();
    (await server.stream()).end(fail("TOO_MANY_NEW_STREAMS", "later", { retryAfterMs: 60_000 }));
    await until(client.state, (state) => state === "held");
  });

  test("uses Connect where there is no WebSocket", async () => {
    const global = globalThis.WebSocket;
    Reflect.deleteProperty(globalThis, "WebSocket");
    try {
      auto();
      if (codec === "proto") {
        expect(() => connectTidings({ ...base(), transport: "ws" })).toThrow(
          "transport: this environment has no WebSocket",
        );
      }
    } finally {
      globalThis.WebSocket = global;
    }
    expect((await server.stream()).way).toBe("connect");
  });
});
