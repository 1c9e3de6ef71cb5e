/** Feeds over plain HTTP: pages, and who may read what. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import { connect } from "node:http2";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { formatOffset } from "../../src/stream/feed-offset.ts";
import { FeedServer, type JsonMessage, nextOffset, reasonIn, titlesOf } from "./feed-reader.ts";

describe("A page of a feed", () => {
  test("has the messages as Subscribe sends them, and the offset after them", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    const [id] = await feeds.publish({ userId: "ann" }, "one", "two");
    const response = await feeds.get("/stream/user");
    expect(response.status).toBe(200);
    const messages = (await response.json()) as JsonMessage[];
    expect(messages).toHaveLength(2);
    expect(messages[0]).toMatchObject({ id, kind: "KIND_NOTIFICATION", title: "one", scope: "SCOPE_USER" });
    const { position } = messages[1] as JsonMessage;
    expect(position).toMatchObject({ feed: "user", seq: "2" });
    expect(nextOffset(response)).toBe(formatOffset({ epoch: position.epoch, seq: 2 }));
    const headers = Object.fromEntries(response.headers);
    expect(headers).toMatchObject({
      "content-type": "application/json",
      "stream-up-to-date": "true",
      "cache-control": "private, no-cache, no-transform",
      vary: "Origin, Authorization, Cookie",
      "x-content-type-options": "nosniff",
      "cross-origin-resource-policy": "same-origin",
    });
    expect(headers.etag).toMatch(/^"[\w-]{43}"$/);
    expect(headers["stream-cursor"]).toMatch(/^\d+$/);
  });

  test("begins after the offset, and is empty at the end and for `now`", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    await feeds.publish({ userId: "ann" }, "one", "two", "three");
    const all = (await (await feeds.get("/stream/user?offset=-1")).json()) as JsonMessage[];
    const offset = formatOffset({ epoch: all[0]?.position.epoch ?? 0, seq: 1 });
    const rest = await feeds.get(`/stream/user?offset=${offset}`);
    expect(await titlesOf(rest)).toEqual(["two", "three"]);
    const end = await feeds.get(`/stream/user?offset=${nextOffset(rest)}`);
    expect(await titlesOf(end)).toEqual([]);
    expect(nextOffset(end)).toBe(nextOffset(rest));
    const now = await feeds.get("/stream/user?offset=now");
    expect(await titlesOf(now)).toEqual([]);
    expect([nextOffset(now), now.headers.get("stream-up-to-date")]).toEqual([nextOffset(rest), "true"]);
    expect([now.headers.get("etag"), now.headers.get("cache-control")]).toEqual([
      null,
      "private, no-store, no-transform",
    ]);
  });

  test("holds 1,000 messages at most, and says that there are more", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    const service = feeds.server.client({ tenant: feeds.tenant, role: "service" });
    const requests = Array.from({ length: 1000 }, (_, index) => ({
      audience: { to: { case: "userId", value: "ann" } as const },
      message: { kind: Kind.NOTIFICATION, title: `${index}` },
    }));
    await service.publishBatch({ requests });
    await feeds.publish({ userId: "ann" }, "1000");
    const first = await feeds.get("/stream/user");
    expect(await titlesOf(first)).toEqual(requests.map(({ message }) => message.title));
    expect(first.headers.get("stream-up-to-date")).toBeNull();
    const second = await feeds.get(`/stream/user?offset=${nextOffset(first)}`);
    expect(await titlesOf(second)).toEqual(["1000"]);
    expect(second.headers.get("stream-up-to-date")).toBe("true");
  });

  test("ends at 1 MiB", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    const service = feeds.server.client({ tenant: feeds.tenant, role: "service" });
    const content = "x".repeat(60_000);
    for (let index = 0; index < 20; index++) {
      await service.publish({ audience: { to: { case: "userId", value: "ann" } }, message: { kind: 1, content } });
    }
    const first = await feeds.get("/stream/user");
    expect(await titlesOf(first)).toHaveLength(17);
    expect(await titlesOf(await feeds.get(`/stream/user?offset=${nextOffset(first)}`))).toHaveLength(3);
  });

  test("leaves out what was recalled, what the user has deleted, and events that are not stored", async ({
    onTestFinished,
  }) => {
    const feeds = await FeedServer.start(onTestFinished);
    const [one, two] = await feeds.publish({ userId: "ann" }, "one", "two", "three");
    const before = await feeds.get("/stream/user");
    await before.text();
    const service = feeds.server.client({ tenant: feeds.tenant, role: "service" });
    await service.deleteMessages({ ids: { messageIds: [one as string] }, recall: true });
    await service.publish({ audience: { to: { case: "userId", value: "ann" } }, message: { kind: 3, title: "live" } });
    const ann = feeds.server.client({ tenant: feeds.tenant });
    await ann.deleteMessages({ ids: { messageIds: [two as string] } });
    const after = await feeds.get("/stream/user", { headers: { "if-none-match": before.headers.get("etag") ?? "" } });
    expect(after.status).toBe(200);
    expect(await titlesOf(after)).toEqual(["three"]);
    expect(nextOffset(after)).toBe(nextOffset(before));
  });

  test("is not sent again to a reader that has it", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    await feeds.publish({ userId: "ann" }, "one");
    const first = await feeds.get("/stream/user");
    const etag = first.headers.get("etag") ?? "";
    for (const tags of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      const again = await feeds.get("/stream/user", { headers: { "if-none-match": tags } });
      expect([again.status, await again.text(), nextOffset(again)]).toEqual([304, "", nextOffset(first)]);
      expect(again.headers.get("etag")).toBe(etag);
    }
    const other = await feeds.get("/stream/user", { headers: { "if-none-match": '"other"' } });
    expect([other.status, await titlesOf(other)]).toEqual([200, ["one"]]);
    await feeds.publish({ userId: "ann" }, "two");
    expect((await feeds.get("/stream/user", { headers: { "if-none-match": etag } })).status).toBe(200);
  });

  test("has only the messages that pass the filter, and the offset after the others", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    const service = feeds.server.client({ tenant: feeds.tenant, role: "service" });
    const audience = { to: { case: "userId", value: "ann" } as const };
    const ttl = { seconds: 60n };
    await service.publish({ audience, message: { kind: 1, title: "a", category: "x" } });
    await service.publish({ audience, message: { kind: 3, title: "b", event: "e", ttl } });
    await service.publish({ audience, message: { kind: 1, title: "c", category: "y" } });
    const all = await feeds.get("/stream/user");
    const kinds = await feeds.get("/stream/user?kinds=KIND_EVENT&events=e");
    expect(await titlesOf(kinds)).toEqual(["b"]);
    expect(nextOffset(kinds)).toBe(nextOffset(all));
    expect(await titlesOf(await feeds.get("/stream/user?categories=y&categories=z"))).toEqual(["c"]);
    const long = await feeds.get(`/stream/user?categories=${"x".repeat(65)}`);
    expect([long.status, await reasonIn(long)]).toEqual([400, "FIELD_INVALID"]);
  });

  test("beyond a gap is refused with 410, with the offset at which the feed goes on", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished, { retention: { count: 3 } });
    await feeds.publish({ userId: "ann" }, "one");
    const first = await feeds.get("/stream/user");
    await feeds.publish({ userId: "ann" }, "two", "three", "four", "five");
    expect(await titlesOf(await feeds.get("/stream/user"))).toEqual(["three", "four", "five"]);
    for (const live of ["", "&live=long-poll", "&live=sse"]) {
      const gone = await feeds.get(`/stream/user?offset=${nextOffset(first)}${live}`);
      expect([gone.status, gone.headers.get("content-type")]).toEqual([410, "application/json"]);
      const body = (await gone.json()) as { code: string; details: { debug: { metadata?: Record<string, string> } }[] };
      expect(body.code).toBe("out_of_range");
      expect(body.details[0]?.debug.metadata?.next_offset).toBe(nextOffset(gone));
      expect(await titlesOf(await feeds.get(`/stream/user?offset=${nextOffset(gone)}`))).toEqual([
        "three",
        "four",
        "five",
      ]);
    }
  });

  test("of another epoch is gone, and one beyond the end of the feed is refused", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    await feeds.publish({ userId: "ann" }, "one");
    const [{ position }] = (await (await feeds.get("/stream/user")).json()) as [JsonMessage];
    const other = await feeds.get(`/stream/user?offset=${formatOffset({ epoch: position.epoch + 1, seq: 1 })}`);
    expect([other.status, await reasonIn(other)]).toEqual([410, "POSITION_GONE"]);
    expect(nextOffset(other)).toBe(formatOffset({ epoch: position.epoch, seq: 1 }));
    for (const seq of [2, Number.MAX_SAFE_INTEGER]) {
      const future = await feeds.get(`/stream/user?offset=${formatOffset({ epoch: position.epoch, seq })}`);
      expect([future.status, await reasonIn(future)]).toEqual([400, "POSITION_IN_FUTURE"]);
    }
  });
});

describe("HEAD of a feed", () => {
  test("has the offset of its end, and no body", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    await feeds.publish({ tenant: true }, "one");
    const head = await feeds.get("/stream/tenant?offset=-1&live=sse", { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect(nextOffset(head)).toBe(nextOffset(await feeds.get("/stream/tenant")));
    expect(head.headers.get("cache-control")).toContain("no-store");
    expect(head.headers.get("content-type")).toBe("application/json");
    expect((await feeds.get("/stream/room/x", { method: "HEAD" })).status).toBe(403);
  });
});

describe("A reader", () => {
  const everyFeed = ["user", "tenant", "activity", "everyone", "room/team/7", "room/elsewhere"];

  test.for<[string, object, (number | string)[]]>([
    ["a user", { rooms: ["team/*"] }, [200, 200, 200, 200, 200, "ROOM_FORBIDDEN"]],
    ["a service", { role: "service" }, ["ROLE_FORBIDDEN", 200, 200, 200, 200, 200]],
    ["an admin", { role: "admin" }, ["ROLE_FORBIDDEN", 200, 200, 200, 200, 200]],
    [
      "a service of all tenants",
      { role: "service", tenant: undefined },
      ["ROLE_FORBIDDEN", "TENANT_REQUIRED", "TENANT_REQUIRED", 200, "TENANT_REQUIRED", "TENANT_REQUIRED"],
    ],
  ])("that is %s reads the feeds that Subscribe opens to it", async ([, caller, expected], { onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    const authorization = `Bearer ${await feeds.token(caller)}`;
    const found: (number | string)[] = [];
    for (const feed of everyFeed) {
      const response = await feeds.get(`/stream/${feed}`, { headers: { authorization } });
      found.push(response.status === 200 ? 200 : await reasonIn(response));
    }
    expect(found).toEqual(expected);
  });

  test("without a valid token is refused, whatever the query has", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    const token = await feeds.token();
    const ask = async (headers: Record<string, string>, query = "") => {
      const response = await fetch(`${feeds.server.url}/stream/user${query}`, { headers });
      return [response.status, await reasonIn(response)];
    };
    expect(await ask({})).toEqual([401, "TOKEN_MISSING"]);
    expect(await ask({}, `?token=${token}&access_token=${token}`)).toEqual([401, "TOKEN_MISSING"]);
    expect(await ask({ authorization: "Bearer x" })).toEqual([401, "TOKEN_INVALID"]);
    expect(await ask({ authorization: `Bearer ${token}, Bearer ${token}` })).toEqual([401, "TOKEN_INVALID"]);
    expect(await ask({}, "?live=nonsense")).toEqual([401, "TOKEN_MISSING"]);
  });

  test("does not see another tenant's feeds of the same names", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    await feeds.publish({ tenant: true }, "ours");
    await feeds.publish({ roomId: "team/7" }, "ours");
    await feeds.publish({ userId: "ann" }, "ours");
    const authorization = `Bearer ${await feeds.token({ tenant: "other", rooms: ["**"] })}`;
    for (const feed of ["user", "tenant", "room/team/7"]) {
      expect(await titlesOf(await feeds.get(`/stream/${feed}`, { headers: { authorization } }))).toEqual([]);
    }
  });

  test("is not online, enters no room and is no new user by reading", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    const authorization = `Bearer ${await feeds.token({ rooms: ["team/7"] })}`;
    const live = await feeds.events("/stream/room/team/7?offset=now&live=sse", { authorization });
    await live.next();
    const service = feeds.server.client({ tenant: feeds.tenant, role: "service" });
    expect(await service.onlineCount({})).toMatchObject({ users: 0, connections: 0 });
    expect(await service.onlineCount({ scope: { case: "roomId", value: "team/7" } })).toMatchObject({ users: 0 });
    live.cancel();
  });

  test("names rooms by their ids, percent-encoded as in every path", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    await feeds.publish({ roomId: "ä b/7?" }, "room");
    await feeds.publish({ roomId: "dm/ann/b%2Fc" }, "direct");
    const authorization = `Bearer ${await feeds.token({ rooms: ["ä b/*"] })}`;
    for (const [path, title] of [
      ["%C3%A4%20b/7%3F", "room"],
      ["%C3%A4%20b%2F7%3F", "room"],
      ["dm/ann/b%252Fc", "direct"],
      ["dm/b%252fc/ann", "direct"],
    ]) {
      expect(await titlesOf(await feeds.get(`/stream/room/${path}`, { headers: { authorization } }))).toEqual([title]);
    }
    for (const path of ["", "%", "%00", "%FF", "dm/ann", "x".repeat(321)]) {
      const response = await feeds.get(`/stream/room/${path}`, { headers: { authorization } });
      expect([path, response.status, await reasonIn(response)]).toEqual([path, 400, "FIELD_INVALID"]);
    }
  });

  test("may not write", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      const response = await feeds.get("/stream/user", { method, ...(method === "OPTIONS" ? {} : { body: "[1]" }) });
      expect([method, response.status, response.headers.get("allow")]).toEqual([method, 405, "GET, HEAD, OPTIONS"]);
      expect(await reasonIn(response)).toBe("PROTOCOL_UNSUPPORTED");
    }
  });

  test("is counted by the rate limit of calls", async ({ onTestFinished }) => {
    const limits = { callsPerUser: { perSecond: 0.01, burst: 2 } };
    const feeds = await FeedServer.start(onTestFinished, { limits });
    const statuses: number[] = [];
    for (const method of ["GET", "HEAD", "GET"]) statuses.push((await feeds.get("/stream/user", { method })).status);
    expect(statuses).toEqual([200, 200, 429]);
    const refused = await feeds.get("/stream/user?offset=now&live=long-poll");
    expect([refused.status, await reasonIn(refused)]).toEqual([429, "RATE_LIMITED"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(1);
  });

  test.for(["GET", "HEAD"])(
    "over HTTP/2 is refused by %s, with a body or without, and its connection goes on",
    async (method, { onTestFinished }) => {
      const feeds = await FeedServer.start(onTestFinished);
      const session = connect(feeds.server.url);
      onTestFinished(() => session.close());
      const statuses: unknown[] = [];
      for (const path of ["/stream/user", "/stream/tenant?offset=x", "/stream/user"]) {
        const stream = session.request({ ":path": path, ":method": method }, { endStream: false });
        stream.end(path.endsWith("x") ? "a body that nobody asked for" : "");
        const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
        let text = "";
        for await (const chunk of stream) text += chunk;
        statuses.push(headers[":status"], text.includes("TOKEN_MISSING"));
      }
      expect(statuses).toEqual([401, 401, 401].flatMap((status) => [status, method === "GET"]));
    },
  );

  test("over HTTP/2 gets the same answer as over HTTP/1.1", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    await feeds.publish({ userId: "ann" }, "one");
    const session = connect(feeds.server.url);
    onTestFinished(() => session.close());
    const authorization = `Bearer ${await feeds.token()}`;
    const stream = session.request({ ":path": "/stream/user?offset=-1", authorization });
    const headers = await new Promise<Record<string, unknown>>((resolve) => stream.on("response", resolve));
    let text = "";
    for await (const chunk of stream) text += chunk;
    const plain = await feeds.get("/stream/user?offset=-1");
    expect(text).toBe(await plain.text());
    expect([headers[":status"], headers.etag]).toEqual([200, plain.headers.get("etag")]);
  });
});

test("Feeds are served below a path prefix, and not where they are turned off", async ({ onTestFinished }) => {
  const feeds = await FeedServer.start(onTestFinished, { pathPrefix: "/push" });
  for (const path of ["/push/stream/user", "/stream/user"]) expect((await feeds.get(path)).status).toBe(200);
  for (const path of ["/stream/other", "/push/stream", "/other/stream/user"]) {
    expect((await feeds.get(path)).status).toBe(404);
  }
  const off = await FeedServer.start(onTestFinished, { durableStreams: false });
  expect((await off.get("/stream/user")).status).toBe(404);
});

test("A server of another program serves feeds by handleRequest, and keeps its other paths", async ({
  onTestFinished,
}) => {
  const feeds = await FeedServer.start(onTestFinished);
  const host = createServer((request, response) => {
    if (!feeds.server.tidings.handleRequest(request, response)) response.end("own");
  }).listen(0, "127.0.0.1");
  await once(host, "listening");
  onTestFinished(() => void host.close());
  const url = `http://127.0.0.1:${(host.address() as AddressInfo).port}`;
  await feeds.publish({ userId: "ann" }, "one");
  const headers = { authorization: `Bearer ${await feeds.token()}` };
  expect(await titlesOf(await fetch(`${url}/stream/user`, { headers }))).toEqual(["one"]);
  for (const path of ["/stream", "/stream/mine", "/streams/user", "/"]) {
    expect(await (await fetch(`${url}${path}`, { headers })).text()).toBe("own");
  }
  const repeated = request(`${url}/stream/user`, {
    headers: ["Host", "host", "Authorization", "Bearer a", "Authorization", "Bearer b"],
  });
  repeated.end();
  const [answer] = (await once(repeated, "response")) as [IncomingMessage];
  expect(answer.statusCode).toBe(401);
  answer.resume();
});
