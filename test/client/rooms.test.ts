import { describe, expect, test } from "vitest";
import type { RoomEvent, StreamEvent } from "../../src/client/events.ts";
import { RoomJoins } from "../../src/client/state/rooms.ts";
import { settled } from "./fake-clock.ts";
import { caughtUp, fakeSession, hello, message, positionAt, type Text } from "./fake-streams.ts";

const room = (status: RoomEvent["status"], roomId = "r", code = ""): RoomEvent => ({
  type: "room",
  roomId,
  status,
  reason: "",
  message: "",
  code,
});
const at = (seq: number, id = "r") => ({ feed: `room/${id}`, epoch: 1, seq: String(seq) });
const said = (seq: number, id = "r"): StreamEvent<Text> => ({
  type: "message",
  message: `${id}${seq}`,
  position: at(seq, id),
  category: "",
  notification: false,
});
const joined = (...ids: string[]) => new RoomJoins(ids.map((roomId) => ({ roomId })));
const ids = (stream: { request: { rooms: readonly { roomId: string }[] } }) =>
  stream.request.rooms.map(({ roomId }) => roomId);

describe("join() and leave()", () => {
  test("reconnect at once, from the same positions, if they change anything", async () => {
    const { session, clock, stream, streams, errors } = fakeSession({ rooms: joined("r") });
    const first = await stream();
    first.send(hello({ positions: [positionAt(4)] }), room("joined"), caughtUp, said(7));
    session.join("r");
    session.leave("x");
    expect(session.state.value).toBe("live");
    session.join("s", "last");
    session.join("t");
    expect([first.dropped, session.state.value]).toEqual([true, "authorizing"]);
    const second = await stream();
    expect(second.request).toEqual({
      token: "token",
      positions: [positionAt(4), at(7)],
      rooms: [
        { roomId: "r", mode: "any" },
        { roomId: "s", mode: "last" },
        { roomId: "t", mode: "any" },
      ],
    });
    expect([streams.length, errors, clock.pending]).toEqual([2, [], [10_000]]);
  });

  test("wait for the Hello of a stream that is being opened", async () => {
    const { session, stream, streams } = fakeSession();
    const first = await stream();
    session.join("r");
    expect([session.state.value, first.dropped]).toEqual(["connecting", false]);
    first.send(hello());
    expect([session.state.value, first.dropped]).toEqual(["authorizing", true]);
    const second = await stream();
    second.send(hello(), caughtUp);
    expect([ids(second), session.state.value, streams.length]).toEqual([["r"], "live", 2]);
  });

  test("before the first stream need no second one", async () => {
    const { session, stream, streams } = fakeSession();
    session.join("r");
    (await stream()).send(hello(), caughtUp);
    expect([ids(await stream()), streams.length]).toEqual([["r"], 1]);
  });

  test("between two attempts wait for the next one", async () => {
    const { session, clock, stream, streams } = fakeSession();
    (await stream()).end("unavailable");
    session.join("r");
    await settled();
    expect([session.state.value, streams.length]).toEqual(["waiting", 1]);
    await clock.advance(250);
    expect(ids(await stream())).toEqual(["r"]);
  });

  test("while the stream is paused wait for the loop over events()", async () => {
    const { session, stream, streams } = fakeSession({ queueLimit: 2 });
    const loop = session.intake.deliveries.read();
    (await stream()).send(hello(), caughtUp, message(1));
    expect(session.state.value).toBe("paused");
    session.join("r");
    await settled();
    expect(streams.length).toBe(1);
    for (let i = 0; i < 2; i++) await loop.next();
    void loop.next();
    expect(ids(await stream())).toEqual(["r"]);
  });

  test("on a closed client do nothing", async () => {
    const { session, streams } = fakeSession();
    session.close();
    session.join("r");
    session.leave("r");
    await settled();
    expect([session.state.value, streams.length]).toEqual(["closed", 0]);
  });

  test.each(["hello", "room", "message", "caughtUp"] as const)("may be called by a listener of %s", async (type) => {
    const { session, stream, streams, messages } = fakeSession({ rooms: joined("r") });
    session.intake.listeners.add(type, () => session.join("s"));
    (await stream()).send(hello(), room("joined"), said(1), caughtUp);
    const second = await stream();
    expect([ids(second), streams.length]).toEqual([["r", "s"], 2]);
    second.send(hello(), room("joined"), said(1), caughtUp);
    expect([session.state.value, messages]).toEqual(["live", ["r1"]]);
  });

  test("with a malformed id throw, and the stream is not affected", async () => {
    const { session, stream } = fakeSession();
    (await stream()).send(hello(), caughtUp);
    expect(() => session.join("dm/ada")).toThrow(RangeError);
    expect(session.state.value).toBe("live");
  });

  test("one after the other make the client a new member without a position", async () => {
    const { session, stream, messages } = fakeSession({ rooms: joined("r") });
    (await stream()).send(hello(), room("joined"), said(1), caughtUp);
    session.leave("r");
    (await stream()).send(hello(), caughtUp);
    session.join("r");
    const third = await stream();
    expect(third.request.positions).toEqual([]);
    third.send(hello({ positions: [at(1)] }), room("joined"), said(1), caughtUp);
    expect(messages).toEqual(["r1", "r1"]);
  });
});

describe("A room that another client took", () => {
  test("is not joined again, and its position is not sent", async () => {
    const { session, clock, stream } = fakeSession({ rooms: joined("r", "s") });
    const events: string[] = [];
    session.intake.listeners.add("room", ({ roomId, status }) => void events.push(`${roomId} ${status}`));
    const first = await stream();
    first.send(hello(), room("joined"), room("joined", "s"), caughtUp, said(5), said(6, "s"), room("kicked"));
    expect(session.state.value).toBe("live");
    first.end("unavailable");
    await clock.advance(250);
    const second = await stream();
    expect([ids(second), second.request.positions]).toEqual([["s"], [at(6, "s")]]);
    expect(events).toEqual(["r joined", "s joined", "r kicked"]);
    second.send(hello(), caughtUp);
    session.join("r");
    const third = await stream();
    expect([ids(third), third.request.positions]).toEqual([
      ["s", "r"],
      [at(5), at(6, "s")],
    ]);
  });

  test("may be joined again by the listener of the event", async () => {
    const { session, stream } = fakeSession({ rooms: joined("r") });
    session.intake.listeners.add("room", ({ status }) => status === "kicked" && session.join("r", "last"));
    (await stream()).send(hello(), room("joined"), caughtUp, room("kicked"));
    expect((await stream()).request.rooms).toEqual([{ roomId: "r", mode: "last" }]);
  });

  test("while the connection was lost is not taken back, although it was joined by `last`", async () => {
    const { session, clock, stream } = fakeSession({ rooms: new RoomJoins([{ roomId: "r", mode: "last" }]) });
    const events: string[] = [];
    session.intake.listeners.add("room", ({ status }) => void events.push(status));
    const first = await stream();
    expect(first.request.rooms).toEqual([{ roomId: "r", mode: "last" }]);
    first.send(hello(), room("joined"), caughtUp);
    first.end("unavailable");
    await clock.advance(250);
    const second = await stream();
    expect(second.request.rooms).toEqual([{ roomId: "r", mode: "first" }]);
    second.send(hello(), room("refused", "r", "already_exists"), caughtUp);
    expect([events, session.state.value]).toEqual([["joined", "kicked"], "live"]);
    second.end("unavailable");
    await clock.advance(500);
    expect(ids(await stream())).toEqual([]);
  });
});

test("A refused room is asked for again at the next reconnect, and not before", async () => {
  const { session, clock, stream, streams } = fakeSession({ rooms: joined("r") });
  (await stream()).send(hello(), room("refused", "r", "permission_denied"), caughtUp);
  session.join("r");
  await clock.advance(20_000);
  expect(streams.length).toBe(1);
  (await stream()).end("unavailable");
  await clock.advance(250);
  expect(ids(await stream())).toEqual(["r"]);
});

test("A new member of a room gets the messages that the room kept, each once", async () => {
  const { session, clock, stream, messages } = fakeSession({ rooms: joined("r") });
  const first = await stream();
  first.send(hello({ positions: [positionAt(4), at(9)] }), room("joined"), said(3));
  first.end("unavailable");
  await clock.advance(250);
  const second = await stream();
  expect(second.request.positions).toEqual([positionAt(4), at(3)]);
  second.send(hello({ positions: [positionAt(4), at(3)] }), room("joined"), said(3), said(8));
  second.send({ type: "caughtUp", positions: [positionAt(4), at(9)] }, said(9), said(10));
  expect(messages).toEqual(["r3", "r8", "r10"]);
  expect(session.intake.positions()).toEqual([positionAt(4), at(10)]);
});

test("A notification of a room counts like any other, and the totals of a ReadState replace the count", async () => {
  const { session, stream } = fakeSession({ rooms: joined("r") });
  const total = () => session.intake.badge.totals.value?.total;
  const totals = (total: number) => ({ total, byCategory: { "": total }, version: "2" });
  const unread = (seq: number) => ({ ...said(seq), notification: true }) as StreamEvent<Text>;
  const open = await stream();
  open.send(hello({ unread: totals(1) }), room("joined"), unread(1), caughtUp, unread(2));
  expect(total()).toBe(2);
  // The user's own notification is read from the start.
  const none = { readIds: [], unreadIds: [], deletedIds: [], all: false };
  open.send(unread(3), { type: "readState", unread: totals(2), ...none });
  expect(total()).toBe(2);
});

test("Only positions of joined rooms are saved", async () => {
  const saved: string[] = [];
  const storage = { load: () => JSON.stringify([at(2), at(4, "s")]), save: (text: string) => void saved.push(text) };
  const { session, stream } = fakeSession({ rooms: joined("r"), storage });
  const open = await stream();
  expect(open.request.positions).toEqual([at(2)]);
  open.send(hello(), room("joined"), caughtUp, said(3));
  session.intake.flush();
  session.leave("r");
  session.intake.flush();
  await settled();
  expect(saved.map((text) => JSON.parse(text))).toEqual([[at(3)], []]);
});
