import { describe, expect, test } from "vitest";
import type { RoomEvent } from "../../../src/client/events.ts";
import { RoomJoins } from "../../../src/client/state/rooms.ts";

const event = (status: RoomEvent["status"], roomId = "r", code = ""): RoomEvent => ({
  type: "room",
  roomId,
  status,
  reason: "WHY",
  message: "why",
  code,
});

test("A direct room is the same room in either order of its users", () => {
  const joins = new RoomJoins([{ roomId: "dm/b%2fc/a" }]);
  expect(joins.list()).toEqual([{ roomId: "dm/a/b%2Fc", mode: "any" }]);
  expect(joins.join("dm/a/b%2Fc")).toBe(false);
  expect(joins.follows("room/dm/a/b%2Fc")).toBe(true);
  expect(joins.leave("dm/b%2Fc/a")).toBe("room/dm/a/b%2Fc");
  expect([joins.list(), joins.follows("room/dm/a/b%2Fc"), joins.follows("user")]).toEqual([[], false, true]);
});

test("join() and leave() report whether they changed anything", () => {
  const joins = new RoomJoins();
  expect([joins.join("r"), joins.join("r", "any"), joins.join("r", "last"), joins.join("r", "last")]).toEqual([
    true,
    false,
    true,
    false,
  ]);
  expect([joins.leave("x"), joins.leave("r"), joins.leave("r")]).toEqual([undefined, "room/r", undefined]);
});

describe("After an event of the server,", () => {
  test("a room with the status kicked is not asked for until it is joined again", () => {
    const joins = new RoomJoins([{ roomId: "r", mode: "first" }, { roomId: "s" }]);
    joins.apply(event("joined"));
    expect(joins.apply(event("kicked", "r", "already_exists"))).toEqual(event("kicked", "r", "already_exists"));
    expect(joins.list()).toEqual([{ roomId: "s", mode: "any" }]);
    expect(joins.join("r", "first")).toBe(true);
  });

  test("a refused room is still asked for", () => {
    const joins = new RoomJoins([{ roomId: "r", mode: "last" }]);
    expect(joins.apply(event("refused", "r", "unavailable")).status).toBe("refused");
    expect(joins.list()).toEqual([{ roomId: "r", mode: "last" }]);
  });

  test("a room held by `last` is asked for by `first`, so that it is not taken back from another client", () => {
    const joins = new RoomJoins([{ roomId: "r", mode: "last" }]);
    joins.apply(event("joined"));
    expect(joins.list()).toEqual([{ roomId: "r", mode: "first" }]);
    expect(joins.join("r", "last"), "it is joined already").toBe(false);
    expect(joins.apply(event("refused", "r", "unavailable")).status).toBe("refused");
    expect(joins.apply(event("refused", "r", "already_exists")).status).toBe("kicked");
    expect(joins.list()).toEqual([]);
    joins.join("r", "last");
    expect(joins.list()).toEqual([{ roomId: "r", mode: "last" }]);
  });

  test("rooms that the client did not ask for stay unknown", () => {
    const joins = new RoomJoins([{ roomId: "r" }]);
    for (const status of ["joined", "refused", "kicked"] as const) joins.apply(event(status, "x"));
    expect(joins.list()).toEqual([{ roomId: "r", mode: "any" }]);
  });
});

describe("RoomJoins", () => {
  test.each(["", "a".repeat(321), "a\nb", "\ud800", "dm/a", "dm//b", "dm/a/b/c"])("refuses the id %j", (roomId) => {
    expect(() => new RoomJoins([{ roomId }])).toThrow("roomId: must be an id of 1 to 320 characters");
    expect(() => new RoomJoins().join(roomId)).toThrow(RangeError);
  });

  test("refuses an unknown mode", () => {
    expect(() => new RoomJoins().join("r", "ROOM_MODE_ANY" as "any")).toThrow("mode: must be any, first or last");
  });

  test.each([[undefined], ["last" as const]])(
    "refuses a room that is named twice, the second time with mode %s",
    (mode) => {
      const twice = [{ roomId: "dm/a/b" }, { roomId: "dm/b/a", ...(mode && { mode }) }];
      expect(() => new RoomJoins(twice)).toThrow("rooms: dm/b/a is named twice");
    },
  );

  test("refuses a 101st room and keeps the others", () => {
    const joins = new RoomJoins(Array.from({ length: 100 }, (_, i) => ({ roomId: "💬".repeat(310) + i })));
    expect(() => joins.join("one more")).toThrow("rooms: at most 100 at once");
    expect(joins.join("💬".repeat(310) + 7, "last")).toBe(true);
    expect(joins.list().length).toBe(100);
  });
});
