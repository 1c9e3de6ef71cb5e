/** Rooms that a caller may not enter, and a hook that cannot decide: the stream reports it, and otherwise continues. */
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Kind, PushService, RoomMode, RoomState_Status as Status } from "../../../src/gen.ts";
import { FakeClock } from "../../support/clock.ts";
import { allow, badAnswerRoom, badAnswers, type HookServer, startHook } from "../../support/hook-server.ts";
import { newTenant, type ServerOptions, startServer, type TestServer } from "../../support/server.ts";
import { Stream } from "../interop/caller.ts";
import { note, toRoom, toUser } from "../interop/scenario/people.ts";
import { encode, openBridge } from "../interop/ws.ts";
import { callerOf, enter, nextTitles, transportNames } from "./readers.ts";
import { memoryLogger } from "./stage.ts";
import { protocolsOf, refusalOf } from "./wire.ts";

const { logger, lines } = memoryLogger();
let hook: HookServer;
let server: TestServer;

beforeAll(async () => {
  hook = await startHook();
  server = await startServer({ logger, authorize: { url: hook.url, timeoutMs: 1_000 } });
});

afterAll(async () => {
  await server.stop();
  await hook.stop();
});

const joined = { status: Status.JOINED, code: "", reason: "", message: "" };

/** Starts a server with an authorize hook of the test's own. */
async function ownServer(
  respond: Parameters<typeof startHook>[0],
  { timeoutMs = 60_000, ...options }: { timeoutMs?: number } & ServerOptions = {},
) {
  const own = await startHook(respond);
  return { hook: own, server: await startServer({ ...options, authorize: { url: own.url, timeoutMs } }) };
}

describe.each(transportNames)("A stream over %s", (transport) => {
  test("is refused each room that it may not enter, with the field, and enters the others", async ({
    onTestFinished,
  }) => {
    const tenant = newTenant();
    const rooms = ["lobby", "team/*", "me/{sub}/**"];
    const ann = await callerOf(server, transport, { tenant, rooms }, onTestFinished);
    const bob = await callerOf(server, transport, { tenant, rooms, sub: "bob" }, onTestFinished);
    await enter(bob, { rooms: [{ roomId: "lobby" }] });
    const open = ["team/a", "me/ann/x/y", "dm/bob/ann", "yes/1"];
    const closed = ["team/a/b", "team/", "me/bob/x", "dm/bob/eve", "dm/ann%2F/bob", "LOBBY"];
    const asked = [...open, ...closed].map((roomId) => ({ roomId }));
    const { stream, verdicts } = await enter(ann, { rooms: [...asked, { roomId: "lobby", mode: RoomMode.FIRST }] });
    for (const room of open)
      expect.soft(verdicts.get(room === "dm/bob/ann" ? "dm/ann/bob" : room), room).toEqual(joined);
    for (const [index, room] of closed.entries()) {
      expect.soft(verdicts.get(room), room).toEqual({
        status: Status.REFUSED,
        code: "permission_denied",
        reason: "ROOM_FORBIDDEN",
        message: `rooms[${open.length + index}].room_id: the caller may not enter this room`,
      });
    }
    expect(verdicts.get("lobby")).toMatchObject({
      status: Status.REFUSED,
      code: "already_exists",
      reason: "ROOM_TAKEN",
      message: expect.stringMatching(/^rooms\[10\]\.room_id: /),
    });

    const backend = server.client({ tenant, role: "service" });
    for (const room of [...closed, "lobby", ...open]) {
      await backend.publish({ audience: toRoom(room), message: { kind: Kind.EVENT, title: room } });
    }
    await backend.publish({ audience: toUser("ann"), message: note("for ann") });
    expect(await nextTitles(stream, open.length + 1)).toEqual([...open, "for ann"].sort());
  });

  test("kicks nobody by LAST without a grant for it, or the consent of the hook", async ({ onTestFinished }) => {
    const tenant = newTenant();
    const rooms = ["lobby", "desk"];
    const bob = await callerOf(server, transport, { tenant, rooms, sub: "bob" }, onTestFinished);
    const ann = await callerOf(server, transport, { tenant, rooms, takeover: ["desk"] }, onTestFinished);
    const ids = ["lobby", "dm/ann/bob", "desk", "yes/1"];
    const { stream } = await enter(bob, { rooms: ids.map((roomId) => ({ roomId })) });
    const { verdicts } = await enter(ann, { rooms: ids.map((roomId) => ({ roomId, mode: RoomMode.LAST })) });
    const refused = { status: Status.REFUSED, code: "permission_denied", reason: "ROOM_FORBIDDEN" };
    for (const room of ["lobby", "dm/ann/bob"]) expect(verdicts.get(room), room).toMatchObject(refused);
    for (const room of ["desk", "yes/1"]) expect(verdicts.get(room), room).toEqual(joined);
    const kicked = [await stream.until("room"), await stream.until("room")];
    expect(kicked.map(({ roomId, status }) => [roomId, status])).toEqual(
      expect.arrayContaining([
        ["desk", Status.KICKED],
        ["yes/1", Status.KICKED],
      ]),
    );
    const backend = server.client({ tenant, role: "service" });
    for (const room of ids) {
      await backend.publish({ audience: toRoom(room), message: { kind: Kind.EVENT, title: room } });
    }
    expect(await nextTitles(stream, 2)).toEqual(["dm/ann/bob", "lobby"]);
  });

  test("is refused only the rooms that a failing hook cannot decide on", async ({ onTestFinished }) => {
    const tenant = newTenant();
    const ann = await callerOf(server, transport, { tenant, rooms: ["lobby"] }, onTestFinished);
    const troubled = Object.keys(badAnswers).map(badAnswerRoom);
    const rooms = ["lobby", ...troubled, "yes/1", "no/1"].map((roomId) => ({ roomId }));
    lines.length = 0;
    const { stream, verdicts } = await enter(ann, { rooms });
    expect(verdicts.get("lobby")).toEqual(joined);
    expect(verdicts.get("yes/1")).toEqual(joined);
    expect(verdicts.get("no/1")).toMatchObject({ status: Status.REFUSED, code: "permission_denied" });
    for (const [index, room] of troubled.entries()) {
      const verdict = verdicts.get(room);
      expect.soft(verdict, room).toMatchObject({
        status: Status.REFUSED,
        code: "unavailable",
        reason: "AUTHORIZE_UNAVAILABLE",
      });
      expect.soft(verdict?.message, room).toMatch(`rooms[${index + 1}].room_id: the authorize hook `);
    }
    // The log has each cause, for the operator; the caller learns no address.
    const warned = lines.map((line) => JSON.parse(line) as { level: number; err?: object }).filter(({ err }) => err);
    expect(warned.map(({ level }) => level)).toEqual(troubled.map(() => 40));
    expect(JSON.stringify([...verdicts.values()])).not.toContain("127.0.0.1");

    const backend = server.client({ tenant, role: "service" });
    await backend.publish({ audience: toUser("ann"), message: note("for ann") });
    await backend.publish({ audience: toRoom("yes/1"), message: note("for the room") });
    expect(await nextTitles(stream, 2)).toEqual(["for ann", "for the room"]);
  });
});

test("Calls about a room that a failing hook cannot decide on are refused, with the field and a delay", async () => {
  const authorization = `Bearer ${await server.token({ tenant: newTenant() })}`;
  const room = badAnswerRoom("status 500");
  const message = { kind: "KIND_EVENT", title: "never to be seen" };
  const calls = [
    ["Publish", { audience: { roomId: room }, message }, "audience.room_id"],
    ["ListMessages", { roomId: room }, "room_id"],
    ["OnlineCount", { roomId: room }, "room_id"],
  ] as const;
  for (const [protocol, transport] of protocolsOf(server.url)) {
    for (const [method, request, field] of calls) {
      const refusal = await refusalOf(transport, method, request, { authorization });
      expect.soft(refusal, `${method} over ${protocol}`).toMatchObject({
        code: "Unavailable",
        reason: "AUTHORIZE_UNAVAILABLE",
        field,
        violations: [field],
        retryMs: 1000,
      });
    }
  }
});

test("While the hook does not respond, the stream is live, and client and server can close", async ({
  onTestFinished,
}) => {
  const own = await ownServer(() => {});
  onTestFinished(() => own.hook.stop());
  const tenant = newTenant();
  const ann = await callerOf(own.server, "gRPC", { tenant }, onTestFinished);
  const stream = ann.subscribe({ rooms: [{ roomId: "yes/1" }] });
  await stream.expect("hello");
  await stream.expect("caughtUp");
  await own.hook.until(1);
  await own.server.client({ tenant, role: "service" }).publish({ audience: toUser("ann"), message: note("for ann") });
  expect(await stream.expect("message")).toMatchObject({ title: "for ann" });
  expect(own.hook.waiting).toBe(1);
  stream.cancel();
  const other = ann.subscribe({ rooms: [{ roomId: "yes/1" }] });
  await other.expect("hello");
  await own.server.stop();
  expect(own.hook.asked).toHaveLength(1);
});

test("Many streams at once cause one call of the hook, and later streams none", async ({ onTestFinished }) => {
  const own = await ownServer((response) => allow(response, true));
  onTestFinished(() => own.hook.stop());
  onTestFinished(() => own.server.stop());
  const tenant = newTenant();
  const ann = await callerOf(own.server, "gRPC", { tenant }, onTestFinished);
  const open = async () => (await enter(ann, { rooms: [{ roomId: "yes/1" }] })).verdicts.get("yes/1");
  expect(await Promise.all(Array.from({ length: 40 }, open))).toEqual(Array(40).fill(joined));
  expect(await open()).toEqual(joined);
  expect(own.hook.asked.map(({ question }) => question)).toEqual([
    { tenant, user: "ann", room: "yes/1", action: "join", mode: "any" },
  ]);
});

test("An inbox rarely waits for a hook that does not respond, and keeps its rooms until the hook denies them", async ({
  onTestFinished,
}) => {
  let answer: boolean | undefined = true;
  const clock = new FakeClock();
  const own = await ownServer((response) => answer !== undefined && allow(response, answer), { clock, timeoutMs: 100 });
  onTestFinished(() => own.hook.stop());
  onTestFinished(() => own.server.stop());
  const tenant = newTenant();
  const ann = await callerOf(own.server, "gRPC", { tenant }, onTestFinished);
  const { stream } = await enter(ann, { rooms: [{ roomId: "chat" }] });
  const backend = own.server.client({ tenant, role: "service" });
  await backend.publish({ audience: toRoom("chat"), message: note("in the room") });
  const total = async () => (await ann.call(PushService.method.listUnread, {})).unread?.total;
  expect(await total()).toBe(1);
  expect(own.hook.asked).toHaveLength(1);

  answer = undefined;
  await clock.advance(30_000);
  expect(await total()).toBe(1);
  const target = { case: "oldest", value: 1 } as const;
  for (const unread of [false, true]) await ann.call(PushService.method.markRead, { target, unread });
  await backend.publish({ audience: toUser("ann"), message: note("for ann") });
  expect(await nextTitles(stream, 2)).toEqual(["for ann", "in the room"]);
  expect(own.hook.asked).toHaveLength(2);

  answer = false;
  await clock.advance(10_000);
  expect(await total()).toBe(1);
  const { messages } = await ann.call(PushService.method.listUnread, {});
  expect(messages.map(({ title }) => title)).toEqual(["for ann"]);
  expect(own.hook.asked).toHaveLength(3);
});

test("A fresh token with fewer rooms ends a room, and the stream continues", async ({ onTestFinished }) => {
  const tenant = newTenant();
  const token = (...rooms: string[]) => server.token({ tenant, rooms });
  const both = await token("lobby", "attic");
  const { socket, events } = openBridge(server.url, "tidings.v1.json");
  const stream = new Stream(events);
  onTestFinished(() => stream.cancel());
  const subscribe = { rooms: [{ roomId: "lobby" }, { roomId: "attic" }] };
  socket.on("open", () => socket.send(encode("tidings.v1.json", { token: both, subscribe })));
  await stream.expect("hello");
  for (const { roomId } of subscribe.rooms) expect(await stream.until("room")).toMatchObject({ roomId, code: "" });
  await stream.expect("caughtUp");
  socket.send(encode("tidings.v1.json", { token: await token("attic") }));
  expect(await stream.until("room")).toMatchObject({
    roomId: "lobby",
    code: "permission_denied",
    reason: "ROOM_FORBIDDEN",
    message: expect.stringMatching(/^rooms\[0\]\.room_id: /),
  });
  const backend = server.client({ tenant, role: "service" });
  for (const room of ["lobby", "attic"]) {
    await backend.publish({ audience: toRoom(room), message: { kind: Kind.EVENT, title: room } });
  }
  expect(await stream.until("message")).toMatchObject({ title: "attic" });
});

test("An inbox that is full of unread rooms takes no more until one of them is read, and the stream continues", async ({
  onTestFinished,
}) => {
  const tenant = newTenant();
  const ann = await callerOf(server, "gRPC", { tenant, rooms: ["r/*"] }, onTestFinished);
  const client = createClient(PushService, createGrpcTransport({ baseUrl: server.url }));
  const headers = { authorization: `Bearer ${await server.token({ tenant, role: "service" })}` };
  const names = Array.from({ length: 257 }, (_, index) => `r/${index}`);
  await client.publishBatch(
    { requests: names.map((room) => ({ audience: toRoom(room), message: note(room) })) },
    { headers },
  );
  for (let from = 0; from < 256; from += 100) {
    const rooms = names.slice(from, Math.min(from + 100, 256)).map((roomId) => ({ roomId }));
    const { stream, verdicts } = await enter(ann, { rooms });
    expect([...verdicts.values()]).toEqual(rooms.map(() => joined));
    stream.cancel();
  }
  const { stream, verdicts } = await enter(ann, { rooms: [{ roomId: "r/0" }, { roomId: "r/256" }] });
  expect(verdicts.get("r/0")).toEqual(joined);
  expect(verdicts.get("r/256")).toMatchObject({
    status: Status.REFUSED,
    code: "resource_exhausted",
    reason: "TOO_MANY_ROOMS",
    message: expect.stringMatching(/^rooms\[1\]\.room_id: /),
  });
  const direct = { audience: { roomId: "dm/ann/bob" }, message: { kind: "KIND_NOTIFICATION", title: "from bob" } };
  const bob = { authorization: `Bearer ${await server.token({ tenant, sub: "bob" })}` };
  const refused = await refusalOf(createGrpcTransport({ baseUrl: server.url }), "Publish", direct, bob);
  expect(refused).toMatchObject({ code: "ResourceExhausted", reason: "TOO_MANY_ROOMS", field: "audience.room_id" });
  await client.publish({ audience: toUser("ann"), message: note("for ann") }, { headers });
  expect(await nextTitles(stream, 1)).toEqual(["for ann"]);
  await client.publish({ audience: toRoom("dm/ann/bob"), message: note("from a service") }, { headers });

  const { messages, unread } = await ann.call(PushService.method.listUnread, { pageSize: 100 });
  expect(unread?.total).toBe(258);
  expect(messages[0]?.title).toBe("from a service");
  const target = { case: "ids", value: { messageIds: messages.slice(2, 4).map(({ id }) => id) } } as const;
  await ann.call(PushService.method.markRead, { target });
  expect((await enter(ann, { rooms: [{ roomId: "r/256" }] })).verdicts.get("r/256")).toEqual(joined);
});

test("A direct room that the hook refuses is neither entered nor published to, and is in nobody's inbox", async ({
  onTestFinished,
}) => {
  const own = await ownServer((response) => allow(response, false), { directRooms: "hook" });
  onTestFinished(() => own.hook.stop());
  onTestFinished(() => own.server.stop());
  const tenant = newTenant();
  const ann = await callerOf(own.server, "gRPC", { tenant }, onTestFinished);
  const bob = own.server.client({ tenant, sub: "bob" });
  await expect(bob.publish({ audience: toRoom("dm/bob/ann"), message: note("hello") })).rejects.toThrow(
    "audience.room_id: the caller may not publish to this room",
  );
  const { verdicts } = await enter(ann, { rooms: [{ roomId: "dm/ann/bob" }] });
  expect(verdicts.get("dm/ann/bob")).toMatchObject({ status: Status.REFUSED, reason: "ROOM_FORBIDDEN" });
  expect((await ann.call(PushService.method.listUnread, {})).unread?.total).toBe(0);
  const question = { tenant, room: "dm/ann/bob" };
  expect(own.hook.asked.map((asked) => asked.question)).toEqual([
    { ...question, user: "bob", action: "publish" },
    { ...question, user: "ann", action: "join", mode: "any" },
  ]);
});

test("A server without direct rooms refuses them to services, too", async ({ onTestFinished }) => {
  const own = await startServer({ directRooms: "off" });
  onTestFinished(() => own.stop());
  const tenant = newTenant();
  for (const role of ["user", "service"] as const) {
    const publishing = own.client({ tenant, role, sub: "ann" }).publish({
      audience: toRoom("dm/ann/bob"),
      message: note("hello"),
    });
    await expect(publishing).rejects.toThrow("audience.room_id: this server has no direct rooms; publish to user_id");
  }
});
