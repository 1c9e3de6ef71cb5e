/** Rooms on an open subscription. */
import { RoomMode, RoomState_Status as Status } from "../../../../gen/tidings/v1/push_service_pb.ts";
import { at, note, type StreamCall } from "../calls.ts";
import { Failed, type Scenario, type Stage } from "../stage.ts";
import { requireSeq } from "./positions.ts";

function modeName(mode: number | undefined): string {
  return Object.entries(RoomMode).find(([, number]) => number === mode)?.[0] ?? "none";
}

/** The ids of the rooms that a stream asks for. */
function roomsOf({ request }: StreamCall): string[] {
  return request.rooms.map(({ roomId }) => roomId).sort();
}

function requireRooms(stream: StreamCall, rooms: readonly string[], why: string): void {
  const seen = roomsOf(stream);
  if (seen.join() === [...rooms].sort().join()) return;
  throw new Failed(
    `the rooms ${rooms.join(", ") || "none"} were expected ${why}; they were ${seen.join(", ") || "none"}`,
  );
}

function joined(stream: StreamCall, roomId: string): Promise<void> {
  return stream.send({ case: "room", value: { roomId, status: Status.JOINED } });
}

/** Waits for the status of a room, beyond the first `after` lines about rooms. */
async function requireStatus(stage: Stage, roomId: string, status: string, after: number): Promise<void> {
  const line = await stage.line("room", `the line room with ${status} of ${roomId}`, after);
  const seen = `${line.status} of ${line.roomId}`;
  if (seen !== `${status} of ${roomId}`) throw new Failed(`${status} of ${roomId} was expected; it was ${seen}`);
}

/** Opens a stream with the rooms `a` and `b`, both joined, and brings it to live. */
async function openRooms(stage: Stage): Promise<StreamCall> {
  const stream = await stage.subscribe({
    rooms: [
      { roomId: "a", mode: "ANY" },
      { roomId: "b", mode: "ANY" },
    ],
  });
  requireRooms(stream, ["a", "b"], "in the first request");
  await stream.hello({ positions: [at("user", 3), at("room/a", 20), at("room/b", 30)] });
  await joined(stream, "a");
  await joined(stream, "b");
  await stream.caughtUp(at("user", 3), at("room/a", 20), at("room/b", 30));
  await stage.line("caughtUp", "the line caughtUp");
  await requireStatus(stage, "a", "JOINED", 0);
  await requireStatus(stage, "b", "JOINED", 1);
  return stream;
}

const reconnect: Scenario = {
  name: "rooms-reconnect",
  group: "subscriber",
  rule: 10,
  sentence: "Every reconnect asks for all rooms again, at their positions, and with the same filters.",
  async run(stage) {
    const first = await stage.subscribe({
      rooms: [{ roomId: "a" }, { roomId: "b", mode: "FIRST" }],
      kinds: ["KIND_NOTIFICATION"],
      categories: ["news", "mail"],
    });
    await first.hello({ positions: [at("user", 3)] });
    await joined(first, "a");
    await joined(first, "b");
    await first.caughtUp(at("user", 3), at("room/a", 20));
    await first.messages(note(31, "room/b"));
    await stage.messages(["room/b-1-31"], "the message of room b");
    first.reset();
    const second = await stage.stream();
    requireRooms(second, ["a", "b"], "after a reconnect");
    requireSeq(second, "room/a", 20, "after CaughtUp");
    requireSeq(second, "room/b", 31, "after a message of the room");
    const mode = second.request.rooms.find(({ roomId }) => roomId === "b")?.mode;
    stage.require(mode === RoomMode.FIRST, `the mode FIRST of room b was expected; it was ${modeName(mode)}`);
    const filters = JSON.stringify([second.request.kinds, second.request.categories]);
    const wanted = JSON.stringify([[1], ["news", "mail"]]);
    stage.require(filters === wanted, `the filters ${wanted} were expected again; they were ${filters}`);
  },
};

const join: Scenario = {
  name: "rooms-join",
  group: "subscriber",
  rule: 10,
  sentence: "join opens a new stream with the new list of rooms, at the same positions, and drops the old one.",
  async run(stage) {
    const first = await openRooms(stage);
    await first.messages(note(4), note(21, "room/a"));
    await stage.messages(["user-1-4", "room/a-1-21"], "the messages before the join");
    stage.send({ type: "join", roomId: "c" });
    const second = await stage.stream("another stream after a join");
    requireRooms(second, ["a", "b", "c"], "after a join");
    requireSeq(second, "user", 4, "after a join");
    requireSeq(second, "room/a", 21, "after a join");
    stage.require(second.seqOf("room/c") === undefined, "no position of the new room was expected; there was one");
    // Messages of the new room from before the position of Hello are replayed, and are no duplicates.
    await second.hello({ positions: [at("user", 4), at("room/a", 21), at("room/b", 30), at("room/c", 50)] });
    await joined(second, "c");
    await second.messages(note(49, "room/c"), note(50, "room/c"));
    await second.caughtUp(at("user", 4), at("room/c", 50));
    await requireStatus(stage, "c", "JOINED", 2);
    await stage.messages(
      ["user-1-4", "room/a-1-21", "room/c-1-49", "room/c-1-50"],
      "messages 49 and 50 of the new room, though its position in Hello, which is not the client's, is 50",
    );
    await stage.until(() => first.goneAt, "the old stream to be dropped");
  },
};

const leave: Scenario = {
  name: "rooms-leave",
  group: "subscriber",
  rule: 10,
  sentence: "leave opens a stream without the room, and forgets its position.",
  async run(stage) {
    await openRooms(stage);
    stage.send({ type: "leave", roomId: "a" });
    const second = await stage.stream("another stream after a leave");
    requireRooms(second, ["b"], "after a leave");
    const kept = second.request.positions.some(({ feed }) => feed === "room/a");
    stage.require(!kept, "no position of the room that was left was expected: a server refuses it");
    await second.hello();
    await joined(second, "b");
    await second.caughtUp(at("user", 3));
    await stage.line("caughtUp", "the client to be live again", 1);
    stage.send({ type: "join", roomId: "a" });
    const third = await stage.stream("another stream after another join");
    requireRooms(third, ["a", "b"], "after another join");
    stage.require(third.seqOf("room/a") === undefined, "a join as a new member, without a position, was expected");
    requireSeq(third, "room/b", 30, "of the room that was not left");
  },
};

const refused: Scenario = {
  name: "rooms-refused",
  group: "subscriber",
  rule: 10,
  sentence: "A refused room does not end the stream; the next reconnect asks for it again.",
  async run(stage) {
    const first = await stage.subscribe({ rooms: [{ roomId: "a" }, { roomId: "b" }] });
    await first.hello();
    await joined(first, "a");
    const value = { roomId: "b", status: Status.REFUSED, code: "unavailable", reason: "AUTHORIZE_UNAVAILABLE" };
    await first.send({ case: "room", value: { ...value, message: "room_id: the hook did not answer" } });
    await first.caughtUp();
    await first.messages(note(1));
    await requireStatus(stage, "a", "JOINED", 0);
    await requireStatus(stage, "b", "REFUSED", 1);
    const reason = stage.lines("room")[1]?.reason;
    stage.require(
      reason === "AUTHORIZE_UNAVAILABLE",
      `the reason AUTHORIZE_UNAVAILABLE was expected; it was ${reason}`,
    );
    await stage.messages(["user-1-1"], "the message after the refusal");
    stage.require(first.goneAt === undefined, "the stream was expected to stay open; the client dropped it");
    first.reset();
    requireRooms(await stage.stream(), ["a", "b"], "after a reconnect");
  },
};

const kicked: Scenario = {
  name: "rooms-kicked",
  group: "subscriber",
  rule: 10,
  sentence: "A room from which the client was kicked is not asked for again, until the application joins it.",
  async run(stage) {
    const first = await openRooms(stage);
    const value = { roomId: "a", status: Status.KICKED, code: "already_exists", reason: "ROOM_TAKEN" };
    await first.send({ case: "room", value: { ...value, message: "room_id: somebody else took it" } });
    await requireStatus(stage, "a", "KICKED", 2);
    first.reset();
    const second = await stage.stream();
    requireRooms(second, ["b"], "after room a was lost");
    const kept = second.request.positions.some(({ feed }) => feed === "room/a");
    stage.require(!kept, "no position of the room that was lost was expected: a server refuses it");
    await second.hello();
    await second.caughtUp();
    await stage.line("caughtUp", "the client to be live again", 1);
    stage.send({ type: "join", roomId: "a" });
    requireRooms(await stage.stream("another stream after a join"), ["a", "b"], "after the application joined again");
  },
};

const takenByLast: Scenario = {
  name: "rooms-last",
  group: "subscriber",
  rule: 10,
  sentence:
    "A room that was held by LAST is asked for by FIRST at a reconnect, and is lost where somebody else has it now.",
  async run(stage) {
    const first = await stage.subscribe({ rooms: [{ roomId: "a", mode: "LAST" }] });
    stage.require(first.request.rooms[0]?.mode === RoomMode.LAST, "the mode LAST was expected in the first request");
    const { instanceId } = first.request;
    stage.require(
      instanceId !== "",
      "an instance_id was expected: without it, a stale connection keeps its client out",
    );
    await first.hello();
    await joined(first, "a");
    await first.caughtUp();
    await requireStatus(stage, "a", "JOINED", 0);
    first.reset();
    const second = await stage.stream();
    const mode = second.request.rooms[0]?.mode;
    stage.require(mode === RoomMode.FIRST, `the mode FIRST was expected at a reconnect; it was ${modeName(mode)}`);
    stage.require(second.request.instanceId === instanceId, "the same instance_id was expected at a reconnect");
    await second.hello();
    const value = { roomId: "a", status: Status.REFUSED, code: "already_exists", reason: "ROOM_TAKEN" };
    await second.send({ case: "room", value: { ...value, message: "room_id: somebody else has it" } });
    await requireStatus(stage, "a", "KICKED", 1);
    second.reset();
    requireRooms(await stage.stream(), [], "after somebody else has taken the room");
  },
};

/** The scenarios of this file. */
export const roomScenarios: readonly Scenario[] = [reconnect, join, leave, refused, kicked, takenByLast];
