import { describe, expect, test } from "vitest";
import type { RoomEvent } from "../../../src/client/events.ts";
import { RoomJoins } from "../../../src/client/state/rooms.ts";

const event = (status: RoomEvent["status"], roomId = "r", code = ""): RoomEvent => ({
  type: "room",
  roomId,
  status,
  reason: "why",
  code,
});

test("either order of a direct room's users is one room", () => {
  const wishes = new RoomJoins([{ roomId: "dm/b%2fc/a" }]);
  expect(wishes.list()).toEqual([{ roomId: "dm/a/b%2Fc", mode: "any" }]);
  expect(wishes.join("dm/a/b%2Fc")).toBe(false);
  expect(wishes.follows("room/dm/a/b%2Fc")).toBe(true);
  expect(wishes.leave("dm/b%2Fc/a")).toBe("room/dm/a/b%2Fc");
  expect([wishes.list(), wishes.follows("room/dm/a/b%2Fc"), wishes.follows("user")]).toEqual([[], false, true]);
});

test("only what changes something is a change", () => {
  const wishes = new RoomJoins();
  expect([wishes.join("r"), wishes.join("r", "any"), wishes.join("r", "last"), wishes.join("r", "last")]).toEqual([
    true,
    false,
    true,
    false,
  ]);
  expect([wishes.leave("x"), wishes.leave("r"), wishes.leave("r")]).toEqual([undefined, "room/r", undefined]);
});

describe("what the server says", () => {
  test("a room that was lost is asked for no more, until it is joined again", () => {
    const wishes = new RoomJoins([{ roomId: "r", mode: "first" }, { roomId: "s" }]);
    wishes.apply(event("joined"));
    expect(wishes.apply(event("kicked", "r", "already_exists"))).toEqual(event("kicked", "r", "already_exists"));
    expect(wishes.list()).toEqual([{ roomId: "s", mode: "any" }]);
    expect(wishes.join("r", "first")).toBe(true);
  });

  test("a refused room is still asked for", () => {
    const wishes = new RoomJoins([{ roomId: "r", mode: "last" }]);
    expect(wishes.apply(event("refused", "r", "unavailable")).status).toBe("refused");
    expect(wishes.list()).toEqual([{ roomId: "r", mode: "last" }]);
  });

  test("who comes back to a room that it had by `last` does not take it from whoever took it meanwhile", () => {
    const wishes = new RoomJoins([{ roomId: "r", mode: "last" }]);
    wishes.apply(event("joined"));
    expect(wishes.list()).toEqual([{ roomId: "r", mode: "first" }]);
    expect(wishes.join("r", "last"), "it is in already").toBe(false);
    expect(wishes.apply(event("refused", "r", "unavailable")).status).toBe("refused");
    expect(wishes.apply(event("refused", "r", "already_exists")).status).toBe("kicked");
    expect(wishes.list()).toEqual([]);
    wishes.join("r", "last");
    expect(wishes.list()).toEqual([{ roomId: "r", mode: "last" }]);
  });

  test("of rooms that were never asked for changes nothing", () => {
    const wishes = new RoomJoins([{ roomId: "r" }]);
    for (const status of ["joined", "refused", "kicked"] as const) wishes.apply(event(status, "x"));
    expect(wishes.list()).toEqual([{ roomId: "r", mode: "any" }]);
  });
});

describe("what no server takes is found at once", () => {
  test.each(["", "a".repeat(321), "a\nb", "\ud800", "dm/a", "dm//b", "dm/a/b/c"])("the id %j", (roomId) => {
    expect(() => new RoomJoins([{ roomId }])).toThrow("roomId: must be an id of 1 to 320 characters");
    expect(() => new RoomJoins().join(roomId)).toThrow(RangeError);
  });

  test("a mode that is none", () => {
    expect(() => new RoomJoins().join("r", "ROOM_MODE_ANY" as "any")).toThrow("mode: must be any, first or last");
  });

  test.each([[undefined], ["last" as const]])("a room named twice, then with mode %s", (mode) => {
    const twice = [{ roomId: "dm/a/b" }, { roomId: "dm/b/a", ...(mode && { mode }) }];
    expect(() => new RoomJoins(twice)).toThrow("rooms: dm/b/a is named twice");
  });

  test("a 101st room; the others stay", () => {
    const wishes = new RoomJoins(Array.from({ length: 100 }, (_, i) => ({ roomId: "💬".repeat(310) + i })));
    expect(() => wishes.join("one more")).toThrow("rooms: at most 100 at once");
    expect(wishes.join("💬".repeat(310) + 7, "last")).toBe(true);
    expect(wishes.list().length).toBe(100);
  });
});
