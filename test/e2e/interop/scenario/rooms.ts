import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { AdminService } from "../../../../gen/tidings/v1/admin_service_pb.ts";
import { Kind, Scope } from "../../../../gen/tidings/v1/message_pb.ts";
import { PushService, RoomMode, RoomState_Status as Status } from "../../../../gen/tidings/v1/push_service_pb.ts";
import { type Caller, errorOf, type Stream } from "../caller.ts";
import { factsOf, meet, note, type Stage, toRoom, toUser } from "./people.ts";

const { publish, listUnread } = PushService.method;
const { disconnect } = AdminService.method;
/** The rooms that the users' tokens allow. */
const claims = { rooms: ["team/*"], publish: ["team/*"], takeover: ["team/*"] };

/** Opens a stream in a room, and expects that it enters the room. */
async function enter(caller: Caller, roomId: string, mode: RoomMode = RoomMode.ANY): Promise<Stream> {
  const stream = caller.subscribe({ rooms: [{ roomId, mode }] });
  expect(await stream.until("room")).toMatchObject({ roomId, status: Status.JOINED, reason: "", code: "" });
  await stream.until("caughtUp");
  return stream;
}

/** Registers the tests of rooms, and of disconnects. */
export function rooms(stage: Stage): void {
  test("publishes to a room: its members receive the message live, and absent ones find it unread", async (context) => {
    const { ann, bob, helper } = await meet(stage, context, claims);
    const stream = await enter(bob, "team/1");
    const said = await ann.call(publish, { audience: toRoom("team/1"), message: note("to all here") });
    expect(said).toMatchObject({ onlineUsers: 1, receipts: [] });
    expect(await stream.until("message")).toMatchObject({
      id: said.messageId,
      scope: Scope.ROOM,
      roomId: "team/1",
      actor: { id: "ann" },
      alert: true,
      position: { feed: "room/team/1", seq: "1" },
    });
    stream.cancel();
    await helper.call(publish, { audience: toRoom("team/1"), message: note("while away") });
    const { messages, unread } = await bob.call(listUnread, {});
    expect(messages.map(({ title, roomId }) => [title, roomId])).toEqual([
      ["while away", "team/1"],
      ["to all here", "team/1"],
    ]);
    expect(unread?.total).toBe(2);
  });

  test("receives the stored events of a room when it joins, before live ones", async (context) => {
    const { ann, helper } = await meet(stage, context, claims);
    const stage1 = { kind: Kind.EVENT, event: "stage", title: "1 of 2", ttl: durationFromMs(60_000) };
    await helper.call(publish, { audience: toRoom("team/1"), message: stage1 });
    await helper.call(publish, { audience: toRoom("team/1"), message: { kind: Kind.EVENT, title: "not kept" } });
    const stream = ann.subscribe({ rooms: [{ roomId: "team/1" }] });
    await stream.expect("hello");
    expect(await stream.expect("room")).toMatchObject({ status: Status.JOINED });
    expect(await stream.expect("message")).toMatchObject({ event: "stage", title: "1 of 2", alert: false });
    await stream.expect("caughtUp");
    await helper.call(publish, { audience: toRoom("team/1"), message: { kind: Kind.EVENT, title: "2 of 2" } });
    expect(await stream.until("message")).toMatchObject({ title: "2 of 2", roomId: "team/1" });
  });

  test("is refused by FIRST while someone is in the room, and takes the room by LAST; the streams continue", async (context) => {
    const { ann, bob, helper } = await meet(stage, context, claims);
    const first = await enter(ann, "team/1", RoomMode.FIRST);
    const second = bob.subscribe({ rooms: [{ roomId: "team/1", mode: RoomMode.FIRST }] });
    expect(await second.until("room")).toMatchObject({
      status: Status.REFUSED,
      code: "already_exists",
      reason: "ROOM_TAKEN",
      message: expect.stringMatching(/^rooms\[0\]\.room_id: /),
    });
    await second.until("caughtUp");
    await enter(bob, "team/1", RoomMode.LAST);
    expect(await first.until("room")).toMatchObject({ status: Status.KICKED, code: "already_exists" });
    for (const [user, stream] of Object.entries({ ann: first, bob: second })) {
      await helper.call(publish, { audience: toUser(user), message: note("goes on") });
      expect(await stream.until("message")).toMatchObject({ title: "goes on" });
    }
  });

  test("can neither enter nor publish to a room without a right", async (context) => {
    const { ann } = await meet(stage, context, claims);
    const stream = ann.subscribe({ rooms: [{ roomId: "attic" }] });
    expect(await stream.until("room")).toMatchObject({
      roomId: "attic",
      status: Status.REFUSED,
      code: "permission_denied",
      reason: "ROOM_FORBIDDEN",
      message: expect.stringMatching(/^rooms\[0\]\.room_id: /),
    });
    await stream.until("caughtUp");
    const speaking = await errorOf(ann.call(publish, { audience: toRoom("attic"), message: note("hello?") }));
    const field = "audience.room_id";
    expect(factsOf(speaking)).toEqual({ code: "permission_denied", reason: "ROOM_FORBIDDEN", field });
    const toBob = await errorOf(ann.call(publish, { audience: toUser("bob"), message: note("psst") }));
    expect(factsOf(toBob)).toMatchObject({ reason: "AUDIENCE_FORBIDDEN", field: "audience" });
  });

  test("meets another user in their direct room, from either end and without a grant", async (context) => {
    const { ann, bob } = await meet(stage, context);
    const stream = ann.subscribe({ rooms: [{ roomId: "dm/bob/ann" }] });
    expect(await stream.until("room")).toMatchObject({ roomId: "dm/ann/bob", status: Status.JOINED });
    await stream.until("caughtUp");
    await bob.call(publish, { audience: toRoom("dm/bob/ann"), message: note("ping") });
    expect(await stream.until("message")).toMatchObject({ title: "ping", roomId: "dm/ann/bob", actor: { id: "bob" } });
    await ann.call(publish, { audience: toRoom("dm/ann/bob"), message: note("pong") });
    const { messages } = await bob.call(listUnread, {});
    expect(messages.map(({ title }) => title)).toEqual(["pong"]);
  });

  test("is disconnected and blocked, and other users are not", async (context) => {
    const { ann, bob, backend, helper } = await meet(stage, context);
    const [stream, other] = await Promise.all([ann.live(), bob.live()]);
    const blockUntil = timestampFromMs(Date.now() + 60_000);
    expect(await backend.call(disconnect, { userId: "ann", reason: "signed out", blockUntil })).toMatchObject({
      connections: 1,
    });
    const end = await stream.end();
    expect(factsOf(end)).toMatchObject({ code: "permission_denied", reason: "DISCONNECTED" });
    expect(end.message).toContain("signed out");
    expect(factsOf(await errorOf(ann.call(listUnread, {})))).toMatchObject({ reason: "CALLER_BLOCKED" });
    await helper.call(publish, { audience: toUser("bob"), message: note("goes on") });
    expect(await other.until("message")).toMatchObject({ title: "goes on" });
  });
}
