import { describe, expect, test } from "vitest";
import { MemoryRooms } from "../../../src/adapters/memory/rooms.ts";
import type { JoinMode, Membership } from "../../../src/ports/presence.ts";

function seat(id: number, room = "a", entrance: JoinMode = "any"): Membership {
  return { connection: { id: `${id}`, tenant: "t", user: `user-${id}` }, room, mode: entrance, instance: `page-${id}` };
}

describe("LocalRooms", () => {
  test("answers who lost a seat, and nothing when it refuses", () => {
    const rooms = new MemoryRooms();
    expect(rooms.join(seat(1))).toEqual([]);
    expect(rooms.join(seat(2))).toEqual([]);
    expect(rooms.join(seat(3, "a", "first"))).toBeUndefined();
    expect(rooms.join(seat(4, "a", "last"))?.map(({ connection }) => connection.id)).toEqual(["1", "2"]);
    expect(rooms.count("t", "a")).toEqual({ users: 1, connections: 1 });
  });

  test("takes a stream out of all its rooms at once", () => {
    const rooms = new MemoryRooms();
    for (const name of ["a", "b", "c"]) rooms.join(seat(1, name));
    rooms.join(seat(2, "b"));
    rooms.leaveAll(seat(1).connection);
    rooms.leaveAll(seat(1).connection);
    expect(["a", "b", "c"].map((name) => rooms.count("t", name).connections)).toEqual([0, 1, 0]);
    expect(rooms.join(seat(3, "a", "first"))).toEqual([]);
  });

  test("forgets who was kicked: to leave then takes nobody's seat", () => {
    const rooms = new MemoryRooms();
    rooms.join(seat(1));
    rooms.join(seat(2, "a", "last"));
    rooms.leave(seat(1).connection, "a");
    rooms.leaveAll(seat(1).connection);
    expect(rooms.count("t", "a")).toEqual({ users: 1, connections: 1 });
  });

  test("lets 20,000 into one room, and each out again, in less than a second", () => {
    const rooms = new MemoryRooms();
    const seats = Array.from({ length: 20_000 }, (_, index) => seat(index));
    const begin = performance.now();
    for (const each of seats) rooms.join(each);
    expect(rooms.count("t", "a")).toEqual({ users: 20_000, connections: 20_000 });
    for (const each of seats) rooms.leaveAll(each.connection);
    expect(performance.now() - begin).toBeLessThan(1000);
    expect(rooms.count("t", "a")).toEqual({ users: 0, connections: 0 });
  });
});
