import { describe, expect, test } from "vitest";
import { MemoryRooms } from "../../../src/adapters/memory/rooms.ts";
import type { JoinMode, Membership } from "../../../src/ports/presence.ts";

function membership(id: number, room = "a", mode: JoinMode = "any"): Membership {
  return { connection: { id: `${id}`, tenant: "t", user: `user-${id}` }, room, mode, instance: `page-${id}` };
}

describe("MemoryRooms", () => {
  test("returns the memberships that a join ended, or undefined when it refuses the join", () => {
    const rooms = new MemoryRooms();
    expect(rooms.join(membership(1))).toEqual([]);
    expect(rooms.join(membership(2))).toEqual([]);
    expect(rooms.join(membership(3, "a", "first"))).toBeUndefined();
    expect(rooms.join(membership(4, "a", "last"))?.map(({ connection }) => connection.id)).toEqual(["1", "2"]);
    expect(rooms.count("t", "a")).toEqual({ users: 1, connections: 1 });
  });

  test("removes a stream from all its rooms at once", () => {
    const rooms = new MemoryRooms();
    for (const name of ["a", "b", "c"]) rooms.join(membership(1, name));
    rooms.join(membership(2, "b"));
    rooms.leaveAll(membership(1).connection);
    rooms.leaveAll(membership(1).connection);
    expect(["a", "b", "c"].map((name) => rooms.count("t", name).connections)).toEqual([0, 1, 0]);
    expect(rooms.join(membership(3, "a", "first"))).toEqual([]);
  });

  test("ignores the leave of a stream that was kicked", () => {
    const rooms = new MemoryRooms();
    rooms.join(membership(1));
    rooms.join(membership(2, "a", "last"));
    rooms.leave(membership(1).connection, "a");
    rooms.leaveAll(membership(1).connection);
    expect(rooms.count("t", "a")).toEqual({ users: 1, connections: 1 });
  });

  test("adds 20,000 streams to one room and removes each in less than a second", () => {
    const rooms = new MemoryRooms();
    const memberships = Array.from({ length: 20_000 }, (_, index) => membership(index));
    const begin = performance.now();
    for (const each of memberships) rooms.join(each);
    expect(rooms.count("t", "a")).toEqual({ users: 20_000, connections: 20_000 });
    for (const each of memberships) rooms.leaveAll(each.connection);
    expect(performance.now() - begin).toBeLessThan(1000);
    expect(rooms.count("t", "a")).toEqual({ users: 0, connections: 0 });
  });
});
