/** The part of the law of port Presence that is about rooms: a join is atomic, however many join at the same time. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Connection, JoinMode, Membership, OnlineTotals, Presence } from "../ports/presence.ts";
import type { OpenedPresence } from "./opened-presence.ts";

const room = "room";

/** Registers the tests. `opened` returns the nodes of the running test. */
export function roomLaw(opened: () => OpenedPresence, make: () => Promise<OpenedPresence>, scripts: number): void {
  /** A stream stays on one node. */
  const nodeAt = (index: number): Presence => {
    const { nodes } = opened();
    return nodes[index % nodes.length] as Presence;
  };
  /** Polls: a node may learn of a change a moment later than another. */
  const counts = async (expected: OnlineTotals, of = room, tenant = "t") => {
    for (const node of opened().nodes) await expect.poll(() => node.count(tenant, of)).toEqual(expected);
  };
  const joinAll = (members: readonly Membership[]) =>
    Promise.all(members.map((each, index) => nodeAt(index).join(each)));

  test("admits any number of connections to a room by ANY, and counts their users and them", async () => {
    expect(await nodeAt(0).count("t", room)).toEqual({ users: 0, connections: 0 });
    const members = ["ann", "ann", "bob", "cyd"].map((user, index) => member(`${index}`, "any", { user }));
    expect(await joinAll(members)).toEqual([true, true, true, true]);
    await counts({ users: 3, connections: 4 });
    await nodeAt(0).leave(members[0]?.connection as Connection, room);
    await counts({ users: 3, connections: 3 });
    await nodeAt(1).leave(members[1]?.connection as Connection, room);
    await counts({ users: 2, connections: 2 });
  });

  test("counts a connection that joins a room twice once, and subtracts one that leaves it twice once", async () => {
    const [one, two] = [member("1", "any"), member("2", "any")];
    await nodeAt(0).join(one);
    await nodeAt(0).join(one);
    await nodeAt(1).join(two);
    await counts({ users: 1, connections: 2 });
    await nodeAt(0).leave(one.connection, room);
    await nodeAt(0).leave(one.connection, room);
    await nodeAt(0).leave(member("3", "any").connection, room);
    await counts({ users: 1, connections: 1 });
  });

  test("keeps rooms apart by tenant and by id", async () => {
    const others = [
      member("1", "any", { tenant: "u" }),
      member("2", "any", { room: "room/2" }),
      member("3", "any", { tenant: "t\nroom", room: "" }),
      member("4", "any", { room: "__proto__" }),
    ];
    expect(await joinAll(others)).toEqual([true, true, true, true]);
    const heard = listen(opened());
    expect(await nodeAt(0).join(member("5", "first"))).toBe(true);
    expect(await nodeAt(0).join(member("6", "last", { user: "bob" }))).toBe(true);
    await expect.poll(() => heard()).toEqual(["5 room"]);
    await counts({ users: 1, connections: 1 });
    await counts({ users: 1, connections: 1 }, room, "u");
    await counts({ users: 1, connections: 1 }, "room/2");
    await counts({ users: 0, connections: 0 }, "constructor");
  });

  test("frees a room when its member leaves it, and when its member is closed", async () => {
    const [one, two, three] = ["1", "2", "3"].map((id) => member(id, "first", { user: id })) as [
      Membership,
      Membership,
      Membership,
    ];
    await nodeAt(0).enter(one.connection);
    expect(await nodeAt(0).join(one)).toBe(true);
    expect(await nodeAt(1).join(two)).toBe(false);
    await nodeAt(0).leave(one.connection, room);
    expect(await nodeAt(1).join(two)).toBe(true);
    expect(await nodeAt(2).join(three)).toBe(false);
    await nodeAt(1).leave(two.connection);
    expect(await nodeAt(2).join(three)).toBe(true);
    await counts({ users: 1, connections: 1 });
    // A connection that has left the room is still online.
    expect(await nodeAt(0).count("t")).toEqual({ users: 1, connections: 1 });
  });

  test("removes the connections of a closing node from their rooms", async () => {
    const { nodes } = opened();
    const last = nodes.at(-1) as Presence;
    await last.join(member("1", "first"));
    await counts({ users: 1, connections: 1 });
    await last.close();
    await expect.poll(() => nodes[0].count("t", room)).toEqual({ users: 0, connections: 0 });
  });

  test("admits exactly one of 20 connections that join by FIRST at once, and kicks none", async () => {
    for (let round = 0; round < 5; round++) {
      const heard = listen(opened());
      const of = `round-${round}`;
      const members = Array.from({ length: 20 }, (_, index) =>
        member(`${round}/${index}`, "first", { user: `user-${index % 7}`, instance: `page-${index}`, room: of }),
      );
      expect((await joinAll(members)).filter((joined) => joined)).toHaveLength(1);
      await counts({ users: 1, connections: 1 }, of);
      expect(heard()).toEqual([]);
    }
  });

  test("refuses FIRST while anyone else is in the room, another connection of the user included, and changes nothing", async () => {
    await nodeAt(0).join(member("1", "any", { instance: "a" }));
    expect(await nodeAt(1).join(member("2", "first", { instance: "b" }))).toBe(false);
    expect(await nodeAt(1).join(member("3", "first"))).toBe(false);
    expect(await nodeAt(1).join(member("4", "first", { user: "bob", instance: "c" }))).toBe(false);
    await counts({ users: 1, connections: 1 });
  });

  test("admits a page by FIRST over its own stale connection, and kicks that", async () => {
    const heard = listen(opened());
    await nodeAt(0).join(member("1", "first", { instance: "page" }));
    expect(await nodeAt(1).join(member("2", "first", { instance: "page" }))).toBe(true);
    await expect.poll(() => heard()).toEqual(["1 room"]);
    await counts({ users: 1, connections: 1 });
    // The stale connection is closed in the end; that must not remove the new one.
    await nodeAt(0).leave(member("1", "any").connection);
    await counts({ users: 1, connections: 1 });
  });

  test("does not take the page of another user, or a connection without an instance, for a stale connection", async () => {
    await nodeAt(0).join(member("1", "first", { instance: "page" }));
    expect(await nodeAt(1).join(member("2", "first", { user: "bob", instance: "page" }))).toBe(false);
    const other = { room: "other" };
    await nodeAt(0).join(member("3", "first", other));
    expect(await nodeAt(1).join(member("4", "first", other))).toBe(false);
  });

  test("refuses FIRST while others are in the room beside the stale connection, which stays", async () => {
    const heard = listen(opened());
    await nodeAt(0).join(member("1", "any", { instance: "page" }));
    await nodeAt(1).join(member("2", "any", { user: "bob" }));
    expect(await nodeAt(2).join(member("3", "first", { instance: "page" }))).toBe(false);
    await counts({ users: 2, connections: 2 });
    expect(heard()).toEqual([]);
  });

  test("admits others by ANY to a room that was entered by FIRST", async () => {
    await nodeAt(0).join(member("1", "first"));
    expect(await nodeAt(1).join(member("2", "any", { user: "bob" }))).toBe(true);
    await counts({ users: 2, connections: 2 });
  });

  test("kicks every member of a room once when one joins by LAST, whatever their mode", async () => {
    const heard = listen(opened());
    const members = ["ann", "ann", "bob", "cyd", "dan"].map((user, index) => member(`${index}`, "any", { user }));
    await joinAll(members);
    expect(await nodeAt(1).join(member("last", "last", { user: "eve" }))).toBe(true);
    // The order of the kicks is open: the members entered concurrently.
    await expect.poll(() => heard().toSorted()).toEqual(members.map(({ connection }) => `${connection.id} room`));
    await counts({ users: 1, connections: 1 });
    expect(await nodeAt(0).join(member("later", "last"))).toBe(true);
    await expect.poll(() => heard()).toContain("last room");
  });

  test("leaves exactly one of 20 connections that join by LAST at once, and notifies the 19 others", async () => {
    const heard = listen(opened());
    const members = Array.from({ length: 20 }, (_, index) => member(`${index}`, "last", { user: `user-${index}` }));
    expect(await joinAll(members)).toEqual(members.map(() => true));
    await counts({ users: 1, connections: 1 });
    await expect.poll(() => heard().length).toBe(19);
    expect(new Set(heard()).size).toBe(19);
  });

  test("does not kick a member that joins again by LAST", async () => {
    const heard = listen(opened());
    await nodeAt(0).join(member("1", "any"));
    expect(await nodeAt(0).join(member("1", "last"))).toBe(true);
    await counts({ users: 1, connections: 1 });
    expect(heard()).toEqual([]);
  });

  test("agrees with a model of rooms after any script of joins and leaves", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(move, { maxLength: 50, size: "max" }), async (script) => {
        const { nodes, close } = await make();
        const model = new RoomModel();
        const heard = listen({ nodes, close });
        for (const next of script) {
          await take(nodes, model, next);
          // Wait for the kicks: a member that leaves before it was notified would not be counted as kicked.
          await expect.poll(() => heard().sort(), { interval: 2 }).toEqual(model.kicked.toSorted());
        }
        for (const [of, tenant] of rooms)
          for (const node of nodes) await expect.poll(() => node.count(tenant, of)).toEqual(model.count(tenant, of));
        await close();
      }),
      { numRuns: Math.ceil(scripts * 0.75) },
    );
  });

  test("grants concurrent joins so that members and kicked members add up, in whatever order they ran", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom<JoinMode>("any", "first", "first", "last"), { minLength: 2, maxLength: 12 }),
        async (modes) => {
          const { nodes, close } = await make();
          const heard = listen({ nodes, close });
          const members = modes.map((mode, index) => member(`${index}`, mode, { user: `user-${index}` }));
          const joined = await Promise.all(
            members.map((each, index) => (nodes[index % nodes.length] as Presence).join(each)),
          );
          const granted = joined.filter((each) => each).length;
          // Only FIRST is ever refused, and the room is never empty.
          for (const [index, each] of joined.entries()) expect(each || modes[index] === "first").toBe(true);
          await expect.poll(async () => (await nodes[0].count("t", room)).connections + heard().length).toBe(granted);
          expect((await nodes[0].count("t", room)).connections).toBeGreaterThan(0);
          await close();
        },
      ),
      { numRuns: Math.ceil(scripts / 4) },
    );
  });
}

const rooms = [
  ["a", "t"],
  ["b", "t"],
  ["a", "u"],
] as const;

/** One step of a script, by one of eight streams of four users and two tenants. */
const move = fc.record({
  id: fc.nat({ max: 7 }),
  room: fc.constantFrom("a", "a", "b"),
  does: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom<JoinMode>("any", "any", "first", "last") },
    { weight: 2, arbitrary: fc.constantFrom("leave" as const, "end" as const) },
  ),
  instance: fc.constantFrom("", "", "page", "tab"),
});
type Move = typeof move extends fc.Arbitrary<infer T> ? T : never;

async function take(nodes: OpenedPresence["nodes"], model: RoomModel, next: Move): Promise<void> {
  const { id, does, instance } = next;
  const home = nodes[id % nodes.length] as Presence;
  const who = { user: `user-${id % 4}`, tenant: id < 6 ? "t" : "u", instance, room: next.room };
  const { connection } = member(String(id), "any", who);
  if (does === "leave" || does === "end") {
    const left = does === "leave" ? next.room : undefined;
    model.leave(connection, left);
    return home.leave(connection, ...(left === undefined ? [] : [left]));
  }
  const wish = member(String(id), does, who);
  expect(await home.join(wish)).toBe(model.join(wish));
}

/** The law of rooms, written down in the simplest way. */
class RoomModel {
  readonly kicked: string[] = [];
  #members: Membership[] = [];

  join(wish: Membership): boolean {
    const others = this.#members.filter((other) => sameRoom(other, wish) && other.connection.id !== wish.connection.id);
    const isStale = (other: Membership) =>
      wish.instance !== "" && other.instance === wish.instance && other.connection.user === wish.connection.user;
    if (wish.mode === "first" && !others.every(isStale)) return false;
    if (wish.mode !== "any") {
      this.kicked.push(...others.map(({ connection, room }) => `${connection.id} ${room}`));
      this.#members = this.#members.filter((other) => !others.includes(other));
    }
    this.#members = this.#members.filter((own) => !sameRoom(own, wish) || own.connection.id !== wish.connection.id);
    this.#members.push(wish);
    return true;
  }

  leave({ id }: Connection, of: string | undefined): void {
    this.#members = this.#members.filter(({ connection, room }) => connection.id !== id || (of ?? room) !== room);
  }

  count(tenant: string, of: string): OnlineTotals {
    const members = this.#members.filter(({ connection, room }) => connection.tenant === tenant && room === of);
    return { users: new Set(members.map(({ connection }) => connection.user)).size, connections: members.length };
  }
}

function sameRoom(a: Membership, b: Membership): boolean {
  return a.room === b.room && a.connection.tenant === b.connection.tenant;
}

function member(
  id: string,
  mode: JoinMode,
  { tenant = "t", user = "ann", instance = "", room: of = room } = {},
): Membership {
  return { connection: { id, tenant, user }, room: of, mode, instance };
}

/** Collects kicks as `connection room`. Each node may report all of them, or only those of its own streams. */
function listen({ nodes }: OpenedPresence): () => string[] {
  const heard = nodes.map((node) => {
    const kicked: string[] = [];
    node.watch((change) => {
      if (change.type === "kicked") kicked.push(`${change.connection} ${change.room}`);
    });
    return kicked;
  });
  return () => {
    const times = (kicked: readonly string[], one: string) => kicked.filter((each) => each === one).length;
    return [...new Set(heard.flat())].flatMap((one) =>
      new Array<string>(Math.max(...heard.map((kicked) => times(kicked, one)))).fill(one),
    );
  };
}
