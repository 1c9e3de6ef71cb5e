/** Feeds over plain HTTP that are read live: long polls and server-sent events. */
import { connect } from "node:http2";
import { describe, expect, test } from "vitest";
import { FakeClock } from "../support/clock.ts";
import { FeedServer, nextOffset, reasonIn, type ServerSent, titlesOf } from "./feed-reader.ts";

/** The titles in an event `data`. */
function titlesIn(event: ServerSent | undefined): string[] {
  expect(event?.event).toBe("data");
  return (JSON.parse(event?.data ?? "[]") as { title: string }[]).map(({ title }) => title);
}

interface Control {
  readonly streamNextOffset: string;
  readonly streamCursor: string;
  readonly upToDate?: boolean;
  readonly error?: { readonly code: string; readonly details: { readonly debug: { readonly reason?: string } }[] };
}

function controlIn(event: ServerSent | undefined): Control {
  expect(event?.event).toBe("control");
  const control = JSON.parse(event?.data ?? "{}") as Control;
  expect(event?.id).toBe(control.streamNextOffset);
  return control;
}

/** Waits until the server has a number of streams of readers over plain HTTP. */
async function waiting(feeds: FeedServer, count: number): Promise<void> {
  await expect.poll(async () => feeds.open(), { interval: 5 }).toBe(count);
}

describe("A long poll", () => {
  test("waits for the next messages", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished, { metrics: true });
    const polling = feeds.get("/stream/user?offset=now&live=long-poll");
    await waiting(feeds, 1);
    await feeds.publish({ userId: "ann" }, "one");
    const response = await polling;
    expect([response.status, await titlesOf(response)]).toEqual([200, ["one"]]);
    expect(response.headers.get("stream-up-to-date")).toBe("true");
    expect(nextOffset(response)).toBe(nextOffset(await feeds.get("/stream/user")));
    await waiting(feeds, 0);
  });

  test("is answered at once with what is there", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    await feeds.publish({ userId: "ann" }, "one", "two");
    const response = await feeds.get("/stream/user?offset=-1&live=long-poll");
    expect(await titlesOf(response)).toEqual(["one", "two"]);
    expect(response.headers.get("etag")).toMatch(/^"/);
  });

  test("is answered whole with more than the socket takes at once", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    const service = feeds.server.client({ tenant: feeds.tenant, role: "service" });
    const content = "x".repeat(60_000);
    const message = { audience: { to: { case: "userId", value: "ann" } }, message: { kind: 1, content } };
    await service.publishBatch({ requests: [message, message] as never });
    const response = await feeds.get("/stream/user?offset=-1&live=long-poll");
    expect([response.status, (await titlesOf(response)).length]).toEqual([200, 2]);
    // The stream has ended by now; without an error, which would be an unhandled rejection.
    expect((await feeds.get("/stream/user?offset=now")).status).toBe(200);
  });

  test("is answered with 204 when nothing comes for the heartbeat interval", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished, { heartbeatMs: 20 });
    await feeds.publish({ userId: "ann" }, "one");
    const { headers } = await feeds.get("/stream/user?offset=now");
    const cursor = headers.get("stream-cursor") ?? "";
    const response = await feeds.get(`/stream/user?offset=now&live=long-poll&cursor=${cursor}`);
    expect([response.status, await response.text()]).toEqual([204, ""]);
    expect(nextOffset(response)).toBe(headers.get("stream-next-offset"));
    expect(response.headers.get("stream-up-to-date")).toBe("true");
    expect(Number(response.headers.get("stream-cursor"))).toBeGreaterThan(Number(cursor));
  });

  test("does not end for messages that do not pass its filter, and its offset goes on", async ({ onTestFinished }) => {
    const clock = new FakeClock();
    const feeds = await FeedServer.start(onTestFinished, { heartbeatMs: 10_000, metrics: true, clock });
    const polling = feeds.get("/stream/user?offset=now&live=long-poll&kinds=KIND_EVENT");
    await waiting(feeds, 1);
    await feeds.publish({ userId: "ann" }, "one");
    const end = nextOffset(await feeds.get("/stream/user?offset=now"));
    await waiting(feeds, 1);
    await clock.advance(10_000);
    const response = await polling;
    expect([response.status, nextOffset(response)]).toEqual([204, end]);
  });

  test("ends with the errors of a stream, as statuses of HTTP", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished, { metrics: true, maxStreamsPerUser: 2 });
    const polls = [1, 2].map(() => feeds.get("/stream/user?offset=now&live=long-poll"));
    await waiting(feeds, 2);
    const third = await feeds.get("/stream/user?offset=now&live=long-poll");
    expect([third.status, await reasonIn(third), third.headers.get("retry-after")]).toEqual([
      429,
      "TOO_MANY_STREAMS",
      "5",
    ]);
    await feeds.disconnect("ann");
    for (const response of await Promise.all(polls)) {
      expect([response.status, await reasonIn(response)]).toEqual([403, "DISCONNECTED"]);
    }
    const draining = feeds.get("/stream/tenant?offset=now&live=long-poll");
    await waiting(feeds, 1);
    const closed = feeds.server.tidings.close();
    const response = await draining;
    expect([response.status, await reasonIn(response)]).toEqual([503, "SERVER_DRAINING"]);
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    await closed;
  });

  test("ends when its token expires", async ({ onTestFinished }) => {
    const clock = new FakeClock();
    const feeds = await FeedServer.start(onTestFinished, { metrics: true, clock, heartbeatMs: 60_000 });
    const authorization = `Bearer ${await feeds.token({ ttl: 10 })}`;
    const polling = feeds.get("/stream/user?offset=now&live=long-poll", { headers: { authorization } });
    await waiting(feeds, 1);
    await clock.advance(10_000);
    const response = await polling;
    expect([response.status, await reasonIn(response)]).toEqual([401, "TOKEN_EXPIRED"]);
  });

  test("whose reader goes away leaves nothing behind", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished, { metrics: true });
    const abort = new AbortController();
    const polling = feeds.get("/stream/user?offset=now&live=long-poll", { signal: abort.signal });
    const session = connect(feeds.server.url);
    onTestFinished(() => session.destroy());
    const authorization = `Bearer ${await feeds.token()}`;
    const stream = session.request({ ":path": "/stream/user?offset=now&live=long-poll", authorization });
    stream.on("error", () => {});
    await waiting(feeds, 2);
    abort.abort();
    await expect(polling).rejects.toThrow();
    await waiting(feeds, 1);
    stream.close(8);
    await waiting(feeds, 0);
  });
});

describe("Server-sent events of a feed", () => {
  test("are the missed messages, then live ones, each batch followed by the position after it", async ({
    onTestFinished,
  }) => {
    const feeds = await FeedServer.start(onTestFinished);
    await feeds.publish({ userId: "ann" }, "one", "two");
    const events = await feeds.events("/stream/user?offset=-1&live=sse");
    expect(Object.fromEntries(events.response.headers)).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "private, no-cache, no-transform",
      "x-accel-buffering": "no",
      "x-content-type-options": "nosniff",
    });
    expect(titlesIn(await events.next())).toEqual(["one", "two"]);
    const first = controlIn(await events.next());
    expect(first).toMatchObject({ upToDate: true, streamCursor: expect.stringMatching(/^\d+$/) });
    await feeds.publish({ userId: "ann" }, "three");
    const data = await events.next();
    expect(titlesIn(data)).toEqual(["three"]);
    const second = controlIn(await events.next());
    expect(data?.id).toBe(second.streamNextOffset);
    expect(second.streamNextOffset > first.streamNextOffset).toBe(true);
    const rest = await feeds.get(`/stream/user?offset=${first.streamNextOffset}`);
    expect(await titlesOf(rest)).toEqual(["three"]);
    events.cancel();
  });

  test("begin with the position where there is nothing to send, and repeat it as a heartbeat", async ({
    onTestFinished,
  }) => {
    const feeds = await FeedServer.start(onTestFinished, { heartbeatMs: 20 });
    await feeds.publish({ userId: "ann" }, "one");
    const events = await feeds.events("/stream/user?offset=now&live=sse");
    const first = controlIn(await events.next());
    expect(first).toMatchObject({ upToDate: true, streamNextOffset: nextOffset(await feeds.get("/stream/user")) });
    expect(controlIn(await events.next())).toMatchObject({ upToDate: true, streamNextOffset: first.streamNextOffset });
    events.cancel();
  });

  test("go on after the last one that an EventSource got", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished);
    await feeds.publish({ userId: "ann" }, "one");
    const events = await feeds.events("/stream/user?offset=-1&live=sse");
    const data = await events.next();
    events.cancel();
    await feeds.publish({ userId: "ann" }, "two");
    const again = await feeds.events("/stream/user?offset=-1&live=sse", { "last-event-id": data?.id ?? "" });
    expect(titlesIn(await again.next())).toEqual(["two"]);
    again.cancel();
  });

  test("end with the error of the stream in the last position, and with the delay of an EventSource", async ({
    onTestFinished,
  }) => {
    const feeds = await FeedServer.start(onTestFinished, { drainMs: 1000 });
    const ended = await feeds.events("/stream/user?offset=now&live=sse");
    const position = controlIn(await ended.next()).streamNextOffset;
    await feeds.disconnect("ann");
    const last = controlIn(await ended.next());
    expect(last).toMatchObject({ streamNextOffset: position, error: { code: "permission_denied" } });
    expect(last.error?.details[0]?.debug.reason).toBe("DISCONNECTED");
    expect(last.upToDate).toBeUndefined();
    expect(await ended.next()).toBeUndefined();
    const drained = await feeds.events("/stream/tenant?offset=now&live=sse", {
      authorization: `Bearer ${await feeds.token({ sub: "bob" })}`,
    });
    await drained.next();
    void feeds.server.tidings.close();
    const goAway = await drained.next();
    expect(controlIn(goAway).error?.details[0]?.debug.reason).toBe("SERVER_DRAINING");
    expect(goAway?.retry).toMatch(/^\d+$/);
    expect(await drained.next()).toBeUndefined();
  });

  test("are refused as any other request before they begin", async ({ onTestFinished }) => {
    const limits = { newStreamsPerUser: { perSecond: 0.01, burst: 1 } };
    const feeds = await FeedServer.start(onTestFinished, { limits });
    const statuses: (number | string)[] = [];
    const missing = await feeds.get("/stream/user?live=sse");
    statuses.push(missing.status, await reasonIn(missing));
    // A question mark in a parameter does not hide that this opens a stream.
    const refused = await feeds.get("/stream/user?a=?&live=sse&offset=now");
    statuses.push(refused.status, await reasonIn(refused));
    expect(statuses).toEqual([400, "FIELD_INVALID", 429, "TOO_MANY_NEW_STREAMS"]);
  });

  test("stop for a reader that takes nothing, which is cut and can go on", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished, { timeouts: { stallMs: 100 }, metrics: true });
    const content = "x".repeat(60_000);
    const service = feeds.server.client({ tenant: feeds.tenant, role: "service" });
    const events = await feeds.events("/stream/user?offset=now&live=sse");
    // Of a body that nobody reads, Node takes only what fits into its buffers.
    for (let index = 0; index < 200; index++) {
      await service.publish({ audience: { to: { case: "userId", value: "ann" } }, message: { kind: 1, content } });
    }
    await waiting(feeds, 0);
    await expect(async () => {
      while (await events.next());
    }).rejects.toThrow();
    expect(await feeds.metric("tidings_errors_total", 'reason="READER_TOO_SLOW"')).toBe(1);
  });

  test("over HTTP/2 are one stream of many, and a reset ends one alone", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished, { metrics: true });
    const session = connect(feeds.server.url);
    onTestFinished(() => session.destroy());
    const authorization = `Bearer ${await feeds.token()}`;
    const open = () => session.request({ ":path": "/stream/user?offset=now&live=sse", authorization });
    const [first, second] = [open(), open()];
    let text = "";
    second.on("data", (chunk: Buffer) => (text += chunk));
    first.on("error", () => {});
    await waiting(feeds, 2);
    first.close(8);
    await waiting(feeds, 1);
    await expect.poll(() => text).toContain("event: control");
    await feeds.publish({ userId: "ann" }, "one");
    await expect.poll(() => text).toMatch(/event: data\ndata:\[\{.*"title":"one".*\}\]\n\n/);
  });
});

test("Messages of one event-loop tick are one event", async ({ onTestFinished }) => {
  const feeds = await FeedServer.start(onTestFinished);
  const events = await feeds.events("/stream/tenant?offset=now&live=sse");
  await events.next();
  const service = feeds.server.client({ tenant: feeds.tenant, role: "service" });
  const message = (title: string) => ({
    audience: { to: { case: "tenant", value: true } },
    message: { kind: 1, title },
  });
  await service.publishBatch({ requests: [message("one"), message("two"), message("three")] as never });
  expect(titlesIn(await events.next())).toEqual(["one", "two", "three"]);
  events.cancel();
});
