/** The law of rooms in port Presence (src/ports/presence.ts): a claim is one step, whoever claims at the same time. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Connection, JoinMode, Membership, OnlineTotals, Presence } from "../ports/presence.ts";
import type { OpenedPresence } from "./opened-presence.ts";

const room = "room";

/** Runs the law against an adapter. `opened`: of the test at hand. */
export function roomLaw(opened: () => OpenedPresence, make: () => Promise<OpenedPresence>, scripts: number): void {
  /** A stream lives on one node for ever. */
  const nodeAt = (index: number): Presence => {
    const { nodes } = opened();
    return nodes[index % nodes.length] as Presence;
  };
  /** Nodes may learn from each other a moment later. */
  const counts = async (expected: OnlineTotals, of = room, tenant = "t") => {
    for (const node of opened().nodes) await expect.poll(() => node.count(tenant, of)).toEqual(expected);
  };
  const joinAll = (seats: readonly Membership[]) => Promise.all(seats.map((each, index) => nodeAt(index).join(each)));

  describe("a room", () => {
    test("is entered by any number, and counts users and connections", async () => {
      expect(await nodeAt(0).count("t", room)).toEqual({ users: 0, connections: 0 });
      const seats = ["ann", "ann", "bob", "cyd"].map((user, index) => seat(`${index}`, "any", { user }));
      expect(await joinAll(seats)).toEqual([true, true, true, true]);
      await counts({ users: 3, connections: 4 });
      await nodeAt(0).leave(seats[0]?.connection as Connection, room);
      await counts({ users: 3, connections: 3 });
      await nodeAt(1).leave(seats[1]?.connection as Connection, room);
      await counts({ users: 2, connections: 2 });
    });

    test("counts who joins twice once, and who leaves twice is gone once", async () => {
      const [one, two] = [seat("1", "any"), seat("2", "any")];
      await nodeAt(0).join(one);
      await nodeAt(0).join(one);
      await nodeAt(1).join(two);
      await counts({ users: 1, connections: 2 });
      await nodeAt(0).leave(one.connection, room);
      await nodeAt(0).leave(one.connection, room);
      await nodeAt(0).leave(seat("3", "any").connection, room);
      await counts({ users: 1, connections: 1 });
    });

    test("is no other tenant's, and no other room", async () => {
      const others = [
        seat("1", "any", { tenant: "u" }),
        seat("2", "any", { room: "room/2" }),
        seat("3", "any", { tenant: "t\nroom", room: "" }),
        seat("4", "any", { room: "__proto__" }),
      ];
      expect(await joinAll(others)).toEqual([true, true, true, true]);
      const heard = listen(opened());
      expect(await nodeAt(0).join(seat("5", "first"))).toBe(true);
      expect(await nodeAt(0).join(seat("6", "last", { user: "bob" }))).toBe(true);
      await expect.poll(() => heard()).toEqual(["5 room"]);
      await counts({ users: 1, connections: 1 });
      await counts({ users: 1, connections: 1 }, room, "u");
      await counts({ users: 1, connections: 1 }, "room/2");
      await counts({ users: 0, connections: 0 }, "constructor");
    });

    test("is free again when its holder leaves it, or is closed", async () => {
      const [one, two, three] = ["1", "2", "3"].map((id) => seat(id, "first", { user: id })) as [
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
      // Leaving a room is not leaving.
      expect(await nodeAt(0).count("t")).toEqual({ users: 1, connections: 1 });
    });

    test("loses the seats of a node that closes", async () => {
      const { nodes } = opened();
      const last = nodes.at(-1) as Presence;
      await last.join(seat("1", "first"));
      await counts({ users: 1, connections: 1 });
      await last.close();
      await expect.poll(() => nodes[0].count("t", room)).toEqual({ users: 0, connections: 0 });
    });
  });

  describe("FIRST", () => {
    test("of 20 at once is won by exactly one, and nobody is kicked", async () => {
      for (let round = 0; round < 5; round++) {
        const heard = listen(opened());
        const of = `round-${round}`;
        const seats = Array.from({ length: 20 }, (_, index) =>
          seat(`${round}/${index}`, "first", { user: `user-${index % 7}`, instance: `page-${index}`, room: of }),
        );
        expect((await joinAll(seats)).filter((joined) => joined)).toHaveLength(1);
        await counts({ users: 1, connections: 1 }, of);
        expect(heard()).toEqual([]);
      }
    });

    test("is refused by whoever is there, of the same user too, and changes nothing", async () => {
      await nodeAt(0).join(seat("1", "any", { instance: "a" }));
      expect(await nodeAt(1).join(seat("2", "first", { instance: "b" }))).toBe(false);
      expect(await nodeAt(1).join(seat("3", "first"))).toBe(false);
      expect(await nodeAt(1).join(seat("4", "first", { user: "bob", instance: "c" }))).toBe(false);
      await counts({ users: 1, connections: 1 });
    });

    test("is not refused by the ghost of the same page, which is out", async () => {
      const heard = listen(opened());
      await nodeAt(0).join(seat("1", "first", { instance: "page" }));
      expect(await nodeAt(1).join(seat("2", "first", { instance: "page" }))).toBe(true);
      await expect.poll(() => heard()).toEqual(["1 room"]);
      await counts({ users: 1, connections: 1 });
      // The ghost is closed in the end, and takes nothing along.
      await nodeAt(0).leave(seat("1", "any").connection);
      await counts({ users: 1, connections: 1 });
    });

    test("is refused by another user's page of the same name, and by a nameless one", async () => {
      await nodeAt(0).join(seat("1", "first", { instance: "page" }));
      expect(await nodeAt(1).join(seat("2", "first", { user: "bob", instance: "page" }))).toBe(false);
      const other = { room: "other" };
      await nodeAt(0).join(seat("3", "first", other));
      expect(await nodeAt(1).join(seat("4", "first", other))).toBe(false);
    });

    test("is refused by others beside the ghost, which stays", async () => {
      const heard = listen(opened());
      await nodeAt(0).join(seat("1", "any", { instance: "page" }));
      await nodeAt(1).join(seat("2", "any", { user: "bob" }));
      expect(await nodeAt(2).join(seat("3", "first", { instance: "page" }))).toBe(false);
      await counts({ users: 2, connections: 2 });
      expect(heard()).toEqual([]);
    });

    test("does not keep ANY out", async () => {
      await nodeAt(0).join(seat("1", "first"));
      expect(await nodeAt(1).join(seat("2", "any", { user: "bob" }))).toBe(true);
      await counts({ users: 2, connections: 2 });
    });
  });

  describe("LAST", () => {
    test("kicks all who are there, each once, whatever their mode", async () => {
      const heard = listen(opened());
      const members = ["ann", "ann", "bob", "cyd", "dan"].map((user, index) => seat(`${index}`, "any", { user }));
      await joinAll(members);
      expect(await nodeAt(1).join(seat("last", "last", { user: "eve" }))).toBe(true);
      // Of those who entered at the same time, nobody knows who was there before whom.
      await expect.poll(() => heard().toSorted()).toEqual(members.map(({ connection }) => `${connection.id} room`));
      await counts({ users: 1, connections: 1 });
      expect(await nodeAt(0).join(seat("later", "last"))).toBe(true);
      await expect.poll(() => heard()).toContain("last room");
    });

    test("of 20 at once leaves exactly one, and the 19 others are told", async () => {
      const heard = listen(opened());
      const seats = Array.from({ length: 20 }, (_, index) => seat(`${index}`, "last", { user: `user-${index}` }));
      expect(await joinAll(seats)).toEqual(seats.map(() => true));
      await counts({ users: 1, connections: 1 });
      await expect.poll(() => heard().length).toBe(19);
      expect(new Set(heard()).size).toBe(19);
    });

    test("does not kick itself", async () => {
      const heard = listen(opened());
      await nodeAt(0).join(seat("1", "any"));
      expect(await nodeAt(0).join(seat("1", "last"))).toBe(true);
      await counts({ users: 1, connections: 1 });
      expect(heard()).toEqual([]);
    });
  });

  test("rooms agree with a plain model after any script of joins, leaves and ends", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(move, { maxLength: 50, size: "max" }), async (script) => {
        const { nodes, close } = await make();
        const model = new RoomModel();
        const heard = listen({ nodes, close });
        for (const next of script) {
          await take(nodes, model, next);
          // Who leaves before it has heard of the kick has just left.
          await expect.poll(() => heard().sort(), { interval: 2 }).toEqual(model.kicked.toSorted());
        }
        for (const [of, tenant] of places)
          for (const node of nodes) await expect.poll(() => node.count(tenant, of)).toEqual(model.count(tenant, of));
        await close();
      }),
      { numRuns: Math.ceil(scripts * 0.75) },
    );
  });

  test("at once, whatever the order: what was granted and what is left agree", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom<JoinMode>("any", "first", "first", "last"), { minLength: 2, maxLength: 12 }),
        async (entrances) => {
          const { nodes, close } = await make();
          const heard = listen({ nodes, close });
          const seats = entrances.map((entrance, index) => seat(`${index}`, entrance, { user: `user-${index}` }));
          const joined = await Promise.all(
            seats.map((each, index) => (nodes[index % nodes.length] as Presence).join(each)),
          );
          const granted = joined.filter((each) => each).length;
          // Only FIRST is ever refused, and somebody is always in.
          for (const [index, each] of joined.entries()) expect(each || entrances[index] === "first").toBe(true);
          await expect.poll(async () => (await nodes[0].count("t", room)).connections + heard().length).toBe(granted);
          expect((await nodes[0].count("t", room)).connections).toBeGreaterThan(0);
          await close();
        },
      ),
      { numRuns: Math.ceil(scripts / 4) },
    );
  });
}

const places = [
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
  const { connection } = seat(String(id), "any", who);
  if (does === "leave" || does === "end") {
    const left = does === "leave" ? next.room : undefined;
    model.leave(connection, left);
    return home.leave(connection, ...(left === undefined ? [] : [left]));
  }
  const wish = seat(String(id), does, who);
  expect(await home.join(wish)).toBe(model.join(wish));
}

/** What a presence must do, in the plainest way. */
class RoomModel {
  readonly kicked: string[] = [];
  #seats: Membership[] = [];

  join(wish: Membership): boolean {
    const others = this.#seats.filter((other) => sameRoom(other, wish) && other.connection.id !== wish.connection.id);
    const isGhost = (other: Membership) =>
      wish.instance !== "" && other.instance === wish.instance && other.connection.user === wish.connection.user;
    if (wish.mode === "first" && !others.every(isGhost)) return false;
    if (wish.mode !== "any") {
      this.kicked.push(...others.map(({ connection, room }) => `${connection.id} ${room}`));
      this.#seats = this.#seats.filter((other) => !others.includes(other));
    }
    this.#seats = this.#seats.filter((own) => !sameRoom(own, wish) || own.connection.id !== wish.connection.id);
    this.#seats.push(wish);
    return true;
  }

  leave({ id }: Connection, of: string | undefined): void {
    this.#seats = this.#seats.filter(({ connection, room }) => connection.id !== id || (of ?? room) !== room);
  }

  count(tenant: string, of: string): OnlineTotals {
    const seats = this.#seats.filter(({ connection, room }) => connection.tenant === tenant && room === of);
    return { users: new Set(seats.map(({ connection }) => connection.user)).size, connections: seats.length };
  }
}

function sameRoom(a: Membership, b: Membership): boolean {
  return a.room === b.room && a.connection.tenant === b.connection.tenant;
}

function seat(
  id: string,
  entrance: JoinMode,
  { tenant = "t", user = "ann", instance = "", room: of = room } = {},
): Membership {
  return { connection: { id, tenant, user }, room: of, mode: entrance, instance };
}

/** What watchers hear of kicks, as `connection room`. Every node may hear all of them, or only those of its own streams. */
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
