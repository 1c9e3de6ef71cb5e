import { Code, ConnectError } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket as PackageWebSocket } from "ws";
import { RoomMode } from "../../gen/tidings/v1/push_service_pb.ts";
import { connectTidings, Kind } from "../../src/client/index.ts";
import { connectTidings as connectJson } from "../../src/client/json.ts";
import type { Observable } from "../../src/client/state/observable.ts";
import { fail } from "../../src/errors.ts";
import { FakeServer } from "./fake-server.ts";
import { caughtUp, hello, message, positionAt, seconds, until } from "./server-events.ts";

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

/** The client with each codec and transport. */
const forms = {
  "Protobuf over ws": (options: object = {}) => connectTidings({ ...base(), transport: "ws", ...options }),
  "Protobuf over ws, by the package ws": (options: object = {}) =>
    connectTidings({ ...base(), transport: "ws", WebSocket: PackageWebSocket, ...options }),
  "Protobuf over Connect": (options: object = {}) => connectTidings({ ...base(), transport: "connect", ...options }),
  "Protobuf in memory": (options: object = {}) =>
    connectTidings({ ...base(), transport: "connect", connect: server.transport(), ...options }),
  "Protobuf over connect-web": (options: object = {}) =>
    connectTidings({
      ...base(),
      transport: "connect",
      connect: createConnectTransport({ baseUrl: server.url, useBinaryFormat: true, defaultTimeoutMs: 50 }),
      ...options,
    }),
  "JSON over ws": (options: object = {}) => connectJson({ ...base(), ...options }),
};

function base() {
  return { url: server.url, token: () => "token-1", random };
}

function keep<T extends { close(): void }>(client: T): T {
  open.push(client);
  return client;
}

describe.each(Object.entries(forms))("The client (%s)", (form, connect) => {
  test("resumes after a lost connection without losing or repeating a message, and closes", async () => {
    const client = keep(connect({ subscribe: { onlineCount: true, categories: ["a"] } }));
    const ids: unknown[] = [];
    client.on("message", ({ id }) => void ids.push(id));
    const first = await server.stream();
    expect(first.token).toBe("token-1");
    expect(first.request).toMatchObject({ onlineCount: true, categories: ["a"], positions: [] });
    first.send(hello(2), message(1), caughtUp, message(2));
    await until(client.unread, (totals) => totals?.total === 3);
    expect(client.unread.value).toStrictEqual({ total: 3, byCategory: { a: 3 }, version: "4" });
    expect(client.online.value).toStrictEqual({ users: 2, connections: 3 });
    expect(client.state.value).toBe("live");

    if (form === "Protobuf in memory") first.end(new ConnectError("lost", Code.Canceled));
    else server.cut();
    const second = await server.stream();
    expect(second.request.positions).toMatchObject([positionAt(2)]);
    second.send(hello(4), message(2), message(3), caughtUp, message(3), message(4));
    await until(client.unread, (totals) => totals?.total === 5);
    expect(ids).toEqual(["m1", "m2", "m3", "m4"]);

    client.close();
    await second.gone;
    expect(client.state.value).toBe("closed");
  });

  test("gives the events of the stream in order", async () => {
    const client = keep(connect());
    const events: unknown[] = [];
    const loop = client.events();
    const stream = await server.stream();
    stream.send(
      hello(0),
      { case: "gap", value: { after: positionAt(1), to: positionAt(3) } },
      caughtUp,
      { case: "readState", value: { unread: { total: 0, byCategory: {}, version: "5" }, readIds: ["x"], all: true } },
      { case: "online", value: { users: 7, connections: 8 } },
      {
        case: "room",
        value: { roomId: "r", status: 3, reason: "ROOM_TAKEN", message: "taken", code: "already_exists" },
      },
      { case: "room", value: { roomId: "r", status: 1 } },
      { case: "room", value: { roomId: "r", status: 0 } },
      { case: undefined },
      { case: "message", value: { id: "live", kind: Kind.EVENT } },
    );
    for await (const event of loop) {
      events.push(event);
      if (event.type === "message") break;
    }
    expect(events).toMatchObject([
      { type: "hello", subscriptionId: "s1" },
      { type: "gap", after: positionAt(1), to: positionAt(3) },
      { type: "caughtUp" },
      {
        type: "readState",
        unread: { total: 0, version: "5" },
        readIds: ["x"],
        unreadIds: [],
        deletedIds: [],
        all: true,
      },
      { type: "online", users: 7, connections: 8 },
      { type: "room", roomId: "r", status: "kicked", reason: "ROOM_TAKEN", message: "taken", code: "already_exists" },
      { type: "room", roomId: "r", status: "joined", reason: "", message: "", code: "" },
      { type: "message", message: { id: "live" } },
    ]);
    expect(client.state.value).toBe("closed");
    await stream.gone;
  });

  test("replaces a token that the server refuses, without an error", async () => {
    const tokens = ["old", "new"];
    const errors: unknown[] = [];
    const client = keep(connect({ token: () => tokens.shift() ?? "none" }));
    client.on("error", (error) => void errors.push(error));
    const first = await server.stream();
    first.send(hello(0), caughtUp);
    first.end(fail("TOKEN_EXPIRED", "the token has expired"));
    const second = await server.stream();
    expect([first.token, second.token]).toEqual(["old", "new"]);
    expect(errors).toEqual([]);
  });

  test("closes with the reason of an error that a retry cannot resolve", async () => {
    const client = keep(connect());
    const errors: unknown[] = [];
    client.on("error", ({ code, reason, message: sentence }) => void errors.push([code, reason, sentence]));
    (await server.stream()).end(fail("ROLE_FORBIDDEN", "only users may do that"));
    await until(client.state, (state) => state === "closed");
    expect(errors).toEqual([["permission_denied", "ROLE_FORBIDDEN", "only users may do that"]]);
    await expect(client.events().next()).rejects.toMatchObject({ reason: "ROLE_FORBIDDEN" });
  });

  test.each([
    ["DISCONNECTED", "logged out"],
    ["CALLER_BLOCKED", "blocked until tomorrow"],
  ] as const)("closes after %s and does not reconnect", async (reason, sentence) => {
    const client = keep(connect());
    const states: string[] = [];
    const stream = await server.stream();
    stream.send(hello(0), caughtUp);
    await until(client.state, (state) => state === "live");
    client.state.subscribe((state) => void states.push(state));
    stream.end(fail(reason, sentence));
    await until(client.state, (state) => state === "closed");
    expect(states).toEqual(["live", "closed"]);
    await expect(client.events().next()).rejects.toMatchObject({
      code: "permission_denied",
      reason,
      message: sentence,
    });
  });

  test("joins and leaves rooms under one instance id", async () => {
    const rooms = [{ roomId: "dm/bob/ada" }, { roomId: "solo", mode: "first" }] as const;
    const client = keep(connect({ subscribe: { rooms } }));
    const first = await server.stream();
    expect(first.request.instanceId).toMatch(/^[0-9a-f]{32}$/);
    expect(first.request.rooms).toMatchObject([
      { roomId: "dm/ada/bob", mode: RoomMode.ANY },
      { roomId: "solo", mode: RoomMode.FIRST },
    ]);
    const inRoom = { feed: "room/dm/ada/bob", epoch: 1, seq: "3" };
    first.send(hello(0), { case: "message", value: { id: "r3", kind: Kind.EVENT, position: inRoom } }, caughtUp);
    await until(client.state, (state) => state === "live");
    client.leave("solo");
    client.join("hall", { mode: "last" });
    const second = await server.stream();
    expect(second.request).toMatchObject({
      instanceId: first.request.instanceId,
      positions: [positionAt(0), inRoom],
      rooms: [
        { roomId: "dm/ada/bob", mode: RoomMode.ANY },
        { roomId: "hall", mode: RoomMode.LAST },
      ],
    });
    await first.gone;
  });

  test("gives messages with their alert and receiverId", async () => {
    const client = keep(connect({ instanceId: "page-7" }));
    const loop = client.events();
    const stream = await server.stream();
    expect(stream.request.instanceId).toBe("page-7");
    stream.send(hello(0), { case: "message", value: { id: "a", kind: Kind.ACTIVITY, alert: true, receiverId: "bob" } });
    for await (const event of loop) {
      if (event.type !== "message") continue;
      expect(event.message).toMatchObject({ id: "a", alert: true, receiverId: "bob" });
      break;
    }
  });

  test("forgets positions that the server does not know", async () => {
    const storage = { load: () => JSON.stringify([positionAt(900)]), save: () => {} };
    const client = keep(connect({ storage }));
    const resets: string[] = [];
    client.on("reset", ({ reason }) => void resets.push(reason));
    const first = await server.stream();
    expect(first.request.positions).toMatchObject([positionAt(900)]);
    first.end(fail("POSITION_IN_FUTURE", "positions: user 900 is in the future"));
    expect((await server.stream()).request.positions).toEqual([]);
    expect(resets).toEqual(["POSITION_IN_FUTURE"]);
  });

  test("waits after GoAway", async () => {
    const client = keep(connect());
    const stream = await server.stream();
    stream.send(hello(0), caughtUp, { case: "goAway", value: { reconnectAfter: seconds(60), message: "deploy" } });
    await until(client.state, (state) => state === "held");
    await stream.gone;
  });
});

describe.each(["Protobuf over ws", "JSON over ws", "Protobuf in memory"] as const)("Calls (%s)", (name) => {
  const connect = (options: object = {}) => keep(forms[name](options));

  test("send their requests, and newer totals of their responses reach the badge", async () => {
    const client = connect();
    (await server.stream()).send(hello(5), caughtUp);
    await until(client.state, (state) => state === "live");
    const received: unknown[] = [];
    server.unary = {
      markRead: ({ target, categories }) => {
        received.push([target.case, categories]);
        const version = target.case === "all" ? "4" : "5";
        return { changed: 2, unread: { total: 3, byCategory: { a: 3 }, version } };
      },
      deleteMessages: ({ ids, batchId, recall }) => {
        received.push([ids?.messageIds ?? batchId, recall]);
        return { deleted: 1, unread: { total: 2, byCategory: { a: 2 }, version: "6" } };
      },
      listUnread: ({ pageSize }) => ({ messages: [{ id: `m${pageSize}` }], nextPageToken: "next" }),
      listMessages: () => ({ messages: [{ id: "old", read: true }] }),
      onlineCount: ({ scope }) => {
        received.push(scope.case === "users" ? scope.value.userIds : scope.case);
        return { users: 4 };
      },
      publish: ({ audience, requestId }) => ({ messageId: `${audience?.to.value}/${requestId}` }),
      publishBatch: ({ requests }) => ({ outcomes: requests.map(() => ({ result: { case: "ok", value: {} } })) }),
    };
    expect((await client.markRead({ all: true })).changed).toBe(2);
    expect(client.unread.value?.total).toBe(5);
    await client.markRead({ ids: ["x", "y"], categories: ["a"] });
    expect(client.unread.value?.total).toBe(3);
    await client.markRead({ oldest: 3 });
    await client.markRead({ categories: ["b"] });
    expect((await client.deleteMessages({ ids: ["x"] })).deleted).toBe(1);
    expect(client.unread.value?.total).toBe(2);
    await client.deleteMessages({ batchId: "b", recall: true });
    expect(await client.listUnread({ pageSize: 3 })).toMatchObject({ messages: [{ id: "m3" }], nextPageToken: "next" });
    expect((await client.listMessages()).messages).toMatchObject([{ id: "old", read: true }]);
    expect((await client.onlineCount({ users: ["7"] })).users).toBe(4);
    await client.onlineCount({ roomId: "r" });
    await client.onlineCount();
    const plain = { userId: "ada", kind: "notification", requestId: "r1" } as const;
    expect((await client.publish(plain)).messageId).toBe("ada/r1");
    expect((await client.publishBatch([plain, { tenant: true, kind: "event" }])).outcomes).toHaveLength(2);
    expect(received).toEqual([
      ["all", []],
      ["ids", ["a"]],
      ["oldest", []],
      [undefined, ["b"]],
      [["x"], false],
      ["b", true],
      ["7"],
      "roomId",
      undefined,
    ]);
  });

  test("reject a publish without exactly one audience before it is sent", async () => {
    const client = connect();
    await expect(client.publish({ kind: "event" })).rejects.toThrow(TypeError);
    await expect(client.publishBatch([{ tenant: true, kind: "event" }, { kind: "event" }])).rejects.toThrow(
      new TypeError("requests[1]: give exactly one of roomId, userId, users, tenant, everyone"),
    );
  });

  test("reject with the code and the reason of the server", async () => {
    server.unary = {
      markRead: () => {
        throw fail("FIELD_INVALID", "is required", { field: "target", retryAfterMs: 1_500 });
      },
    };
    const calling = connect().markRead({});
    await expect(calling).rejects.toMatchObject({
      name: "TidingsError",
      code: "invalid_argument",
      reason: "FIELD_INVALID",
    });
    await expect(calling).rejects.toMatchObject({ message: "target: is required", retryAfterMs: 1_500 });
  });

  test("get a fresh token once, and only once", async () => {
    let tokenCalls = 0;
    const seen: unknown[] = [];
    server.unary = {
      listUnread: (_request, { requestHeader }) => {
        const token = requestHeader.get("authorization");
        seen.push(token);
        if (token !== "Bearer t2") throw fail("TOKEN_EXPIRED", "the token has expired");
        return {};
      },
    };
    const client = connect({ token: () => `t${++tokenCalls}` });
    await server.stream();
    await Promise.all([client.listUnread(), client.listUnread()]);
    expect(tokenCalls).toBe(2);
    expect(seen.slice().sort()).toEqual(["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2"]);
    server.unary.listUnread = () => {
      throw fail("TOKEN_INVALID", "the token is not valid");
    };
    await expect(client.listUnread()).rejects.toMatchObject({ code: "unauthenticated", reason: "TOKEN_INVALID" });
    expect(tokenCalls).toBe(3);
  });

  test("end by their deadline, by their signal, and with the client", async () => {
    server.unary = { listUnread: (_request, { signal }) => new Promise((_, reject) => (signal.onabort = reject)) };
    const client = connect();
    const given = new AbortController();
    const calls = [
      client.listUnread({}, { timeoutMs: 20 }),
      client.listUnread({}, { signal: given.signal }),
      client.listUnread(),
    ];
    const codes = calls.map((calling) => calling.then(() => "ok").catch(({ code }) => code));
    expect(await codes[0]).toBe("deadline_exceeded");
    given.abort();
    expect(await codes[1]).toBe("canceled");
    client.close();
    expect(await codes[2]).toBe("canceled");
    await expect(client.listUnread()).rejects.toMatchObject({ code: "canceled" });
  });
});

test("A call on a closed client does not call the token function", async () => {
  let tokenCalls = 0;
  const client = connectTidings({ ...base(), token: () => `t${++tokenCalls}` });
  client.close();
  await expect(client.listUnread()).rejects.toMatchObject({ code: "canceled" });
  expect(tokenCalls).toBe(0);
});

test("A client retries after responses that are no Connect errors", async () => {
  const answers = [new Response("<h1>Not found</h1>", { status: 404 }), new Response("{}", { status: 403 })];
  const errors: string[] = [];
  const client = keep(
    connectTidings({
      ...base(),
      transport: "connect",
      fetch: (url, init) => Promise.resolve(answers.shift() ?? fetch(url, init)),
    }),
  );
  client.on("error", ({ code, message: sentence }) => void errors.push(`${code}: ${sentence}`));
  await server.stream();
  expect(errors).toEqual(["unavailable: HTTP 404: is this the URL of a Tidings server?"]);
});

test("The token is in no URL", async () => {
  const urls: string[] = [];
  class Watched extends PackageWebSocket {
    constructor(url: string, protocols: string[]) {
      urls.push(url, ...protocols);
      super(url, protocols);
    }
  }
  keep(connectTidings({ ...base(), token: () => "secret", transport: "ws", WebSocket: Watched }));
  expect((await server.stream()).token).toBe("secret");
  expect(urls).toEqual([`${server.url.replace("http", "ws")}/ws`, "tidings.v1.proto"]);
});

test.each([
  [{ url: "ftp://x" }, "url: must be an http or https URL"],
  [{ url: "nowhere" }, "url: must be an http or https URL"],
  [{ url: "http://x/?token=1" }, "url: must be an http or https URL without user, password, query"],
  [{ url: "http://ada:pw@x/" }, "url: must be an http or https URL without user, password, query"],
  [{ url: "http://x/#top" }, "url: must be an http or https URL without user, password, query"],
  [{ queueLimit: 0 }, "queueLimit: must be a whole number from 1"],
  [{ transport: "sse" }, "transport: must be one of auto, connect, ws"],
  [{ token: "jwt" }, "token: must be a function"],
  [{ subscribe: { rooms: [{ roomId: "" }] } }, "roomId: must be an id of 1 to 320 characters"],
])("connectTidings refuses the options %j", (wrong, sentence) => {
  expect(() => connectTidings({ ...base(), ...(wrong as object) })).toThrow(sentence);
});

test("`using` closes a client at the end of its block", async () => {
  let state: Observable<string>;
  {
    using client = connectTidings({ ...base(), transport: "connect" });
    state = client.state;
    await server.stream();
  }
  expect(state.value).toBe("closed");
});
